use std::borrow::Cow;

use amp_protocol::json::Pricing;
use percent_encoding::percent_decode_str;

use crate::server::service::AmpService;

/// The price of a path: the highest of the readings that a service behind the layer may give it.
/// Priced by its raw bytes alone, `/v1/%63hat` or `/free/../v1` would reach a priced route unpaid. None where they
/// can't be compared, for they count different things: the cheaper would be anybody's choice.
pub(super) fn of_path(service: &AmpService, path: &str) -> Option<Pricing> {
    let mut others = other_readings(path).map(|reading| service.pricing(&reading));
    others.try_fold(service.pricing(path), dearer)
}

fn dearer(one: Pricing, other: Pricing) -> Option<Pricing> {
    if one.rate.is_zero() || other.rate.is_zero() {
        return Some(if one.rate.is_zero() { other } else { one });
    }
    let same = one.mode == other.mode && one.per == other.per;
    same.then(|| if other.rate > one.rate { other } else { one })
}

/// Whether there is nothing to decode and nothing to resolve.
pub(crate) fn has_one_reading(path: &str) -> bool {
    let ambiguous = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.']);
    path.starts_with('/') && !path.contains('%') && !path.as_bytes().windows(2).any(ambiguous)
}

/// What a service behind the layer may take a path for besides what it is: decoded, and resolved. Nothing, for
/// most paths.
pub(super) fn other_readings(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let others = (!has_one_reading(path)).then(|| {
        let decoded = percent_decode_str(path).decode_utf8_lossy();
        let plain = without_dots(&decoded);
        [decoded, Cow::Owned(plain)]
    });
    others.into_iter().flatten()
}

/// The path with `.`, `..` and empty segments resolved.
fn without_dots(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    let slash = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    format!("/{}{slash}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing::Bench;
    use amp_protocol::money::Amount;

    #[test]
    fn dots_and_doubled_slashes_are_resolved() {
        for (path, plain) in [("/a/./b", "/a/b"), ("//a//b/", "/a/b/"), ("/a/../../b", "/b"), ("", "/")] {
            assert_eq!(without_dots(path), plain);
        }
    }

    #[test]
    fn a_path_with_one_reading_is_read_so_by_both() {
        for path in ["/", "/a", "/a/", "/a.b/c..d", "/v1/x"] {
            assert!(has_one_reading(path) && without_dots(path) == path, "{path}");
        }
        for path in ["", "a", "//", "/a//b", "/.", "/..", "/a/./b", "/.well-known", "/%61", "/a%2f"] {
            assert!(!has_one_reading(path), "{path}");
        }
    }

    #[tokio::test]
    async fn no_spelling_of_a_path_is_cheaper_than_another() {
        let bench = Bench::new();
        let config = bench.config().route("/", Amount::ZERO).route("/v1", Amount::new(7));
        let service = bench.service_with(config).await;
        let rate = |path: &str| of_path(&service, path).unwrap().rate.get();
        assert_eq!(rate("/free"), 0);
        for path in [
            "/v1",
            "/v1/",
            "/%76%31",
            "/v%31/x",
            "//v1",
            "/./v1",
            "/free/../v1",
            "/free/%2e%2e/v1",
            "/free%2f..%2fv1",
        ] {
            assert_eq!(rate(path), 7, "{path}");
        }
        assert_eq!(rate("/v1/%2e%2e/free"), 7, "the raw reading counts too");
    }
}
