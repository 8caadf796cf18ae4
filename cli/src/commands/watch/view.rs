//! What is shown of channels: a table as wide and as high as there is room.

use std::time::Instant;

use solana_address::Address;

use crate::moment::{left, span};
use crate::output::harmless;

/// Between columns.
const GAP: &str = "  ";
/// Lines that are no rows: title, names, the last one.
const AROUND: usize = 3;

/// What is said of each channel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Channel,
    Party,
    Deposited,
    Spent,
    Claimed,
    State,
    Closable,
    Looked,
}

impl Column {
    const ALL: [Self; 8] = [
        Self::Channel,
        Self::Party,
        Self::Deposited,
        Self::Spent,
        Self::Claimed,
        Self::State,
        Self::Closable,
        Self::Looked,
    ];
    /// What a narrow screen goes without, the first of them first: how old the look is stands below, too.
    const EXPENDABLE: [Self; 4] = [Self::Looked, Self::Deposited, Self::Claimed, Self::Party];

    fn name(self, [party, deposited]: [&'static str; 2]) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Party => party,
            Self::Deposited => deposited,
            Self::Spent => "spent",
            Self::Claimed => "claimed",
            Self::State => "state",
            Self::Closable => "closable",
            Self::Looked => "looked",
        }
    }
}

/// A channel, or a delegation of one.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) channel: String,
    pub(super) party: String,
    pub(super) deposited: String,
    pub(super) spent: String,
    pub(super) claimed: String,
    pub(super) state: String,
    /// From when on it can be closed, by the cluster's clock.
    pub(super) closable_from: Option<i64>,
}

/// All of them, as they were seen.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Whose they are.
    pub(super) title: String,
    /// What the party is, and what is deposited.
    pub(super) names: [&'static str; 2],
    pub(super) rows: Vec<Row>,
    /// When the chain was last seen, and its time then.
    pub(super) seen: Option<(Instant, i64)>,
    /// Why it was not seen since.
    pub(super) trouble: Option<String>,
}

impl View {
    /// The lines of a screen of so many columns and rows; without one, all of them.
    pub(super) fn lines(&self, size: Option<(usize, usize)>) -> Vec<String> {
        let age = self.seen.map(|(at, _)| at.elapsed().as_secs());
        let (columns, rows) = size.unwrap_or((usize::MAX, usize::MAX));
        let mut table = self.fitting(age, columns);
        let room = rows.saturating_sub(AROUND).max(1).saturating_add(1);
        if table.len() > room {
            let hidden = table.len().saturating_sub(room).saturating_add(1);
            table.truncate(room.saturating_sub(1));
            table.push(format!("... and {hidden} more"));
        }
        let mut lines = vec![self.title.clone()];
        lines.extend(table);
        lines.push(self.last_line(age, size.is_some()));
        let clipped = lines.iter().map(|line| harmless(line).chars().take(columns).collect());
        clipped.collect()
    }

    /// The table, as much of it as is not too wide: first addresses are shortened, then whole columns are left out,
    /// what is said elsewhere before the rest.
    fn fitting(&self, age: Option<u64>, columns: usize) -> Vec<String> {
        let is_closing = self.rows.iter().any(|row| row.closable_from.is_some());
        let mut shown: Vec<Column> = Column::ALL.to_vec();
        shown.retain(|column| *column != Column::Closable || is_closing);
        let fits = |table: &[String]| table.iter().all(|line| line.chars().count() <= columns);
        let mut table = self.table(age, &shown, str::to_owned);
        let mut expendable = Column::EXPENDABLE.iter();
        while !fits(&table) {
            table = self.table(age, &shown, short);
            if fits(&table) {
                break;
            }
            let Some(next) = expendable.next() else { break };
            shown.retain(|column| column != next);
            table = self.table(age, &shown, short);
        }
        table
    }

    fn table(&self, age: Option<u64>, shown: &[Column], address: impl Fn(&str) -> String) -> Vec<String> {
        let now = self
            .seen
            .zip(age)
            .map(|((_, then), age)| then.saturating_add(i64::try_from(age).unwrap_or(i64::MAX)));
        let header = shown.iter().map(|column| column.name(self.names).to_owned()).collect();
        let cells = self.rows.iter().map(|row| {
            let cell = |column: &Column| match column {
                Column::Channel => address(&row.channel),
                Column::Party => address(&row.party),
                Column::Deposited => row.deposited.clone(),
                Column::Spent => row.spent.clone(),
                Column::Claimed => row.claimed.clone(),
                Column::State => row.state.clone(),
                Column::Closable => {
                    row.closable_from.zip(now).map_or_else(|| "-".to_owned(), |(from, now)| left(from, now))
                }
                Column::Looked => age.map_or_else(|| "never".to_owned(), |age| format!("{} ago", span(age))),
            };
            shown.iter().map(cell).collect()
        });
        let all: Vec<Vec<String>> = std::iter::once(header).chain(cells).collect();
        let width = |column: usize| {
            all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let line = |row: &Vec<String>| {
            let padded = row.iter().enumerate().map(|(column, cell)| format!("{cell:0$}", width(column)));
            padded.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
        };
        all.iter().map(line).collect()
    }

    fn last_line(&self, age: Option<u64>, is_live: bool) -> String {
        let how_to_end = if is_live { "q ends it" } else { "" };
        let age = age.map_or_else(
            || "the chain was not seen yet".to_owned(),
            |age| format!("looked {} ago", span(age)),
        );
        let parts = [self.trouble.as_deref().unwrap_or_default(), age.as_str(), how_to_end];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
    }
}

/// Both ends of an address; of other text all.
fn short(text: &str) -> String {
    let chars = text.chars().count();
    match text.parse::<Address>() {
        Ok(_) => {
            let end: String = text.chars().skip(chars.saturating_sub(4)).collect();
            format!("{}\u{2026}{end}", text.chars().take(4).collect::<String>())
        }
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CHANNEL: &str = "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU";

    /// Two channels, the second of which is closing, and the chain was seen ten seconds ago.
    fn view() -> View {
        let row = Row {
            channel: CHANNEL.to_owned(),
            party: "https://quotes.example".to_owned(),
            deposited: "0.25 USDC".to_owned(),
            spent: "0.01 USDC".to_owned(),
            claimed: "0.00 USDC".to_owned(),
            state: "open".to_owned(),
            closable_from: None,
        };
        let closing = Row { state: "closing".to_owned(), closable_from: Some(1_070), ..row.clone() };
        let ago = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        View {
            title: "channels of this store".to_owned(),
            names: ["service", "deposited"],
            rows: vec![row, closing],
            seen: Some((ago, 1_000)),
            trouble: None,
        }
    }

    #[test]
    fn a_close_counts_down_between_looks_and_the_look_grows_old() {
        let lines = view().lines(None);
        assert!(lines[1].starts_with("channel "), "{lines:#?}");
        assert!(lines[2].ends_with("open     -         10s ago"), "{lines:#?}");
        assert!(lines[3].ends_with("closing  in 1m     10s ago"), "{lines:#?}");
        assert_eq!(lines[4], "looked 10s ago");
        let over = View { seen: view().seen.map(|(at, _)| (at, 1_060)), ..view() };
        assert!(over.lines(None)[3].ends_with("closing  now       10s ago"), "{over:?}");
    }

    #[test]
    fn addresses_are_whole_where_there_is_room_and_no_line_is_wider_than_the_screen() {
        let wide = view().lines(Some((200, 24)));
        assert!(wide[2].contains(CHANNEL), "{wide:#?}");
        let narrow = view().lines(Some((110, 24)));
        assert!(narrow[2].starts_with("4zMM\u{2026}ncDU  https://quotes.example"), "{narrow:#?}");
        assert!(narrow[3].contains("closing  in 1m     10s ago"), "{narrow:#?}");
        for columns in [1, 40, 80] {
            let lines = view().lines(Some((columns, 24)));
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{lines:#?}");
        }
    }

    #[test]
    fn a_narrow_screen_goes_without_what_matters_least() {
        let usual = view().lines(Some((80, 24)));
        assert_eq!(usual[1], "channel    service                 spent      claimed    state    closable");
        assert!(usual[3].ends_with("closing  in 1m"), "{usual:#?}");
        let narrow = view().lines(Some((50, 24)));
        assert_eq!(narrow[1], "channel    spent      state    closable", "{narrow:#?}");
        assert!(narrow[4].starts_with("looked 10s ago"), "{narrow:#?}");
        let open = View { rows: view().rows.into_iter().take(1).collect(), ..view() };
        assert!(
            !open.lines(None)[1].contains("closable"),
            "where nothing is closing nothing is counted down"
        );
    }

    #[test]
    fn of_more_channels_than_there_are_lines_the_number_is_said() {
        let many = View { rows: vec![Row::default(); 30], ..view() };
        let lines = many.lines(Some((80, 10)));
        assert_eq!((lines.len(), lines[8].as_str()), (10, "... and 24 more"));
        let few = View { rows: vec![Row::default(); 7], ..view() };
        assert!(!few.lines(Some((80, 10))).iter().any(|line| line.contains("more")));
    }

    #[test]
    fn a_node_that_does_not_answer_is_told_of_and_hides_nothing() {
        let trouble = Some("the cluster did not answer\u{1b}[2J".to_owned());
        let lines = View { trouble, ..view() }.lines(Some((200, 24)));
        assert_eq!(lines[4], "the cluster did not answer\u{fffd}[2J; looked 10s ago; q ends it");
        assert!(lines[2].contains("0.25 USDC"));
        let never = View { seen: None, ..view() }.lines(None);
        assert!(never[2].ends_with("never") && never[4] == "the chain was not seen yet", "{never:#?}");
    }
}
