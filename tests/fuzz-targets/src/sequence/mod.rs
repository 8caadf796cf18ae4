mod change;

use amp_model::Sequence;
use amp_model::search::Search;
use amp_model::tally::Tally;

use crate::{Grammar, Verdict};

pub(crate) const GRAMMAR: Grammar = Grammar { change: change::change, cross: change::cross };

thread_local! {
    /// Makes sequences, and keeps the stages they begin on: setting one takes longer than most sequences.
    static SEARCH: Search = Search::new(0);
}

/// A sequence of operations as JSON, done to the model of `tests/model` and to the real bytecode: same
/// outcomes, same accounts, and nobody gains what was not signed for. What is covered are the model's
/// branches. An input that fails can be kept as a regression of the model as it is.
pub fn sequence(json: &[u8]) -> Verdict {
    let Ok(sequence) = serde_json::from_slice::<Sequence>(json) else { return Verdict::Refused };
    let mut tally = Tally::default();
    if let Err((_, divergence)) = SEARCH.with(|search| search.run(&sequence, None, &mut tally)) {
        panic!("model and program differ\n{divergence}\nat the end of\n{sequence}");
    }
    if tally.kinds().any(|(_, kind)| kind.accepted > 0) { Verdict::Accepted } else { Verdict::Refused }
}
