//! What it cost, and who has how much.

use std::fmt;

use anyhow::ensure;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use crate::life::Story;
use crate::stage::{Holdings, PRICE, Stage};

#[derive(serde::Serialize)]
pub(crate) struct Report {
    calls: u64,
    price: u64,
    requests_per_second: u64,
    transactions: Vec<Transaction>,
    agent_before: Holdings,
    agent_after: Holdings,
    recipient_before: Holdings,
    recipient_after: Holdings,
    vault_at_most: u64,
    vault_after: u64,
}

#[derive(serde::Serialize)]
struct Transaction {
    instructions: Vec<String>,
    compute_units: u64,
    fee_lamports: u64,
}

impl Report {
    pub(crate) fn of(stage: &Stage, story: &Story) -> Self {
        let executed = stage.chain.executed();
        let transactions = executed.iter().map(|done| Transaction {
            instructions: done.instruction_names().into_iter().map(str::to_owned).collect(),
            compute_units: done.confirmation.compute_units.unwrap_or_default(),
            fee_lamports: done.confirmation.fee.unwrap_or_default(),
        });
        let millis = u64::try_from(story.paying.as_millis()).unwrap_or(u64::MAX).max(1);
        Self {
            calls: story.calls,
            price: PRICE,
            requests_per_second: story.calls.saturating_mul(1_000).div_euclid(millis),
            transactions: transactions.collect(),
            agent_before: story.agent[0],
            agent_after: story.agent[1],
            recipient_before: story.recipient[0],
            recipient_after: story.recipient[1],
            vault_at_most: story.vault_at_most,
            vault_after: story.vault_after,
        }
    }

    /// The money, to the last base unit and lamport.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let owed = self.calls.saturating_mul(self.price);
        let names: Vec<_> = self.transactions.iter().flat_map(|done| &done.instructions).collect();
        ensure!(
            names == ["OpenChannel", "TopUp", "Settle", "CloseChannel"],
            "transactions on chain: {names:?}"
        );
        ensure!(self.transactions.len() == 4, "{} transactions", self.transactions.len());
        let paid = self.agent_before.tokens.checked_sub(self.agent_after.tokens);
        ensure!(paid == Some(owed), "the agent paid {paid:?} base units, used {owed}");
        let earned = self.recipient_after.tokens.checked_sub(self.recipient_before.tokens);
        ensure!(earned == Some(owed), "the service earned {earned:?} base units, served {owed}");
        ensure!(self.vault_after == 0, "{} base units are left in the vault", self.vault_after);
        let fees: u64 = self.transactions.iter().map(|done| done.fee_lamports).sum();
        let before = self.agent_before.lamports.saturating_add(self.recipient_before.lamports);
        let after = self.agent_after.lamports.saturating_add(self.recipient_after.lamports);
        let gone = before.checked_sub(after);
        ensure!(gone == Some(fees), "{gone:?} lamports are gone, fees were {fees}: rent did not come back");
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut life = table(&["transaction", "compute units", "fee (lamports)"]);
        for done in &self.transactions {
            let name = done.instructions.join(" + ");
            life.add_row([name, grouped(done.compute_units), grouped(done.fee_lamports)]);
        }
        let fees = self.transactions.iter().map(|done| done.fee_lamports).sum();
        let summary = format!("{} calls", grouped(self.calls));
        life.add_row([summary, "0 on chain".to_owned(), "0".to_owned()]);
        life.add_row(["in all".to_owned(), String::new(), grouped(fees)]);

        let mut money = table(&["base units", "before", "after", "change"]);
        for (name, before, after) in [
            ("agent", self.agent_before.tokens, self.agent_after.tokens),
            ("service", self.recipient_before.tokens, self.recipient_after.tokens),
            ("vault", 0, self.vault_after),
        ] {
            let change = if after >= before {
                format!("+{}", grouped(after.saturating_sub(before)))
            } else {
                format!("-{}", grouped(before.saturating_sub(after)))
            };
            money.add_row([name.to_owned(), grouped(before), grouped(after), change]);
        }
        writeln!(f, "\n{life}\n{money}")?;
        write!(
            f,
            "{} calls at {} base units, {} transactions, {} requests per second",
            grouped(self.calls),
            self.price,
            self.transactions.len(),
            grouped(self.requests_per_second),
        )
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// `1234567` as `1 234 567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let bytes = digits.as_bytes().rchunks(3).rev();
    bytes.map(|group| String::from_utf8_lossy(group)).collect::<Vec<_>>().join(" ")
}
