use amp_protocol::rejection::Rejection;
use amp_protocol::rules::chained_depth;

use crate::Verdict;
use crate::input::Input;

/// Terms, and a channel chained below another: what is allowed is within every bound of the protocol page.
pub fn rules_chain(bytes: &[u8]) -> Verdict {
    let mut input = Input::new(bytes);
    let (depth, parent, terms) = (input.byte(), input.terms(), input.terms());
    let sound = terms.unit_price > 0
        && terms.rate_limit > 0
        && (1..=2_592_000).contains(&terms.settle_interval)
        && terms.close_grace <= 2_592_000
        && terms.max_chain_depth <= 3;
    assert_eq!(terms.check().is_ok(), sound);
    let outcome = chained_depth(depth, &parent, &terms);
    match outcome {
        Ok(below) => {
            assert!(sound && below <= parent.max_chain_depth && terms.close_grace <= parent.close_grace);
            assert_eq!(u16::from(below), u16::from(depth) + 1);
        }
        Err(Rejection::ChainTooDeep) => assert!(sound && depth >= parent.max_chain_depth),
        Err(Rejection::GraceAboveParent) => assert!(sound && terms.close_grace > parent.close_grace),
        Err(other) => assert_eq!(Err(other), terms.check()),
    }
    Verdict::of(&outcome)
}
