use super::terms::Terms;
use crate::rejection::Rejection;

/// The depth of a channel chained below a parent of depth `parent_depth`, or the first rule it would
/// break. `terms` are the new channel's, with the parent's `max_chain_depth`: the root's, handed down.
///
/// The grace must not be above the parent's: a root funder agreed to wait that long for its refunds.
pub fn chained_depth(parent_depth: u8, parent: &Terms, terms: &Terms) -> Result<u8, Rejection> {
    terms.check()?;
    if parent_depth >= parent.max_chain_depth {
        return Err(Rejection::ChainTooDeep);
    }
    if terms.close_grace > parent.close_grace {
        return Err(Rejection::GraceAboveParent);
    }
    parent_depth.checked_add(1).ok_or(Rejection::ChainTooDeep)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: Terms =
        Terms { unit_price: 1, rate_limit: 1, settle_interval: 1, close_grace: 60, max_chain_depth: 2 };

    #[test]
    fn a_chain_ends_where_the_root_said_and_waits_no_longer_than_its_parent() {
        assert_eq!(chained_depth(0, &PARENT, &PARENT), Ok(1));
        assert_eq!(chained_depth(1, &PARENT, &PARENT), Ok(2));
        assert_eq!(chained_depth(2, &PARENT, &PARENT), Err(Rejection::ChainTooDeep));
        assert_eq!(chained_depth(u8::MAX, &PARENT, &PARENT), Err(Rejection::ChainTooDeep));
        let off = Terms { max_chain_depth: 0, ..PARENT };
        assert_eq!(chained_depth(0, &off, &off), Err(Rejection::ChainTooDeep));
        let longer = Terms { close_grace: 61, ..PARENT };
        assert_eq!(chained_depth(0, &PARENT, &longer), Err(Rejection::GraceAboveParent));
        let shorter = Terms { close_grace: 0, ..PARENT };
        assert_eq!(chained_depth(0, &PARENT, &shorter), Ok(1));
        let bad = Terms { rate_limit: 0, ..PARENT };
        assert_eq!(chained_depth(0, &PARENT, &bad), Err(Rejection::ZeroRateLimit));
    }
}
