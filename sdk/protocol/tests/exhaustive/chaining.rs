use amp_protocol::rejection::Rejection;
use amp_protocol::rules::{Terms, chained_depth};

use crate::domain::every_state;

/// Every depth below every limit, with graces on either side of the parent's.
#[test]
fn a_chain_is_as_deep_as_its_root_allows_in_all_1_310_720_cases() {
    let states = every_state(|state| {
        let (depth, parent_allows) = (state.up_to(255) as u8, state.up_to(255) as u8);
        let (grace, parent_grace, allows) = (state.up_to32(1), state.up_to32(1), state.up_to(4) as u8);
        let terms = Terms {
            unit_price: 1,
            rate_limit: 1,
            settle_interval: 1,
            close_grace: grace,
            max_chain_depth: allows,
        };
        let parent = Terms { close_grace: parent_grace, max_chain_depth: parent_allows, ..terms };
        let levels_left = (depth..parent_allows).count();
        let expected = if allows > 3 {
            Err(Rejection::ChainDepthOutOfRange)
        } else if levels_left == 0 {
            Err(Rejection::ChainTooDeep)
        } else if grace > parent_grace {
            Err(Rejection::GraceAboveParent)
        } else {
            Ok(depth + 1)
        };
        assert_eq!(chained_depth(depth, &parent, &terms), expected);
        true
    });
    assert_eq!(states, 1_310_720);
}

#[test]
fn terms_are_within_their_bounds_in_all_4_528_384_combinations_of_edges() {
    const SECONDS: [u32; 7] = [0, 1, 60, 2_591_999, 2_592_000, 2_592_001, u32::MAX];
    let states = every_state(|state| {
        let terms = Terms {
            unit_price: state.edge(),
            rate_limit: state.edge(),
            settle_interval: SECONDS[state.below(7) as usize],
            close_grace: SECONDS[state.below(7) as usize],
            max_chain_depth: state.up_to(255) as u8,
        };
        let month = 30 * 24 * 60 * 60;
        let expected = [
            (terms.unit_price == 0, Rejection::ZeroUnitPrice),
            (terms.rate_limit == 0, Rejection::ZeroRateLimit),
            (terms.settle_interval < 1 || terms.settle_interval > month, Rejection::SettleIntervalOutOfRange),
            (terms.close_grace > month, Rejection::CloseGraceOutOfRange),
            (terms.max_chain_depth > 3, Rejection::ChainDepthOutOfRange),
        ];
        let broken = expected.into_iter().find_map(|(broken, rejection)| broken.then_some(rejection));
        assert_eq!(terms.check(), broken.map_or(Ok(()), Err));
        true
    });
    assert_eq!(states, 4_528_384);
}
