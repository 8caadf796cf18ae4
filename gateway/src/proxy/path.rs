//! Which paths are passed on at all. The price is that of the path as it is; an API that resolves it otherwise would
//! serve what was not paid for, or what lies outside the part of it that is published.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// How often a path may be decoded on its way.
const DECODED: usize = 4;

/// Whether a path climbs nowhere, however often it is decoded: it has no segment `.` or `..`, not with parameters
/// (`..;x`) either, and no backslash, which many take for a slash.
pub(crate) fn is_plain(path: &str) -> bool {
    let climbs = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    let mut path = Cow::Borrowed(path);
    for _ in 0..DECODED {
        if path.contains('\\') || path.split('/').any(climbs) {
            return false;
        }
        let decoded = percent_decode_str(&path).decode_utf8_lossy();
        if decoded == path {
            return true;
        }
        path = Cow::Owned(decoded.into_owned());
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn a_path_that_climbs_in_any_reading_is_not_passed_on() {
        for path in ["/", "/a/b", "/.well-known/amp.json", "/a%20b/c..d", "/a;v=1", "/a%2fb", "//a"] {
            assert!(is_plain(path), "{path}");
        }
        for path in [
            "/../v1/dear",
            "/free/..",
            "/free/./dear",
            "/free/%2e%2e/dear",
            "/free/%252e%252e/dear",
            "/free%2f..%2fdear",
            "/free/..;/dear",
            "/free\\..\\dear",
            "/free/%5c../dear",
            "/%2525252e%2525252e/",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }
}
