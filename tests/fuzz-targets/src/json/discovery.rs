use amp_protocol::json::{DiscoveryDocument, PricingTable};
use amp_protocol::money::Amount;

use super::stable;
use crate::Verdict;

/// The discovery document; what follows a zero byte is a path, whose price is looked up.
pub fn discovery(input: &[u8]) -> Verdict {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (text, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let read = DiscoveryDocument::parse(text);
    if let Ok(document) = &read {
        stable(text, document);
        assert!(document.amp_version.starts_with("1."));
        let path = String::from_utf8_lossy(path);
        for path in [&*path, "/", ""].into_iter().chain(document.pricing.routes.keys().map(String::as_str)) {
            price_is_of_the_longest_prefix(&document.pricing, path);
        }
    }
    Verdict::of(&read)
}

/// Looks for the price the other way round: each beginning of the path, from the longest on.
fn price_is_of_the_longest_prefix(table: &PricingTable, path: &str) {
    let ends_a_segment =
        |at: usize| at == path.len() || path.as_bytes()[at] == b'/' || path[..at].ends_with('/');
    let beginnings = (0..=path.len()).rev().filter(|at| path.is_char_boundary(*at) && ends_a_segment(*at));
    let rate = beginnings.filter_map(|at| table.routes.get(&path[..at])).next();
    let expected = rate.map_or((table.default.mode, table.default.rate), |own| (own.mode, own.rate));
    let priced = table.for_route(path);
    assert_eq!((priced.mode, priced.rate), expected, "{path:?}");
    assert!(priced.rate >= Amount::ZERO && priced.token == table.default.token);
}
