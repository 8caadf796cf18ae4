//! What a service behind the layer may take a path for: it may decode it, and resolve it, or not.

use std::borrow::Cow;
use std::iter;

use percent_encoding::percent_decode_str;

/// Whether there is nothing to decode and nothing to resolve.
pub(crate) fn has_one_reading(path: &str) -> bool {
    let ambiguous = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.']);
    path.starts_with('/') && !path.contains(['%', '\\', ';']) && !path.as_bytes().windows(2).any(ambiguous)
}

/// How often a path may be decoded on its way to whoever serves it.
const DECODED: usize = 4;

/// The path as it is, and decoded again and again until nothing is left to decode, or it was decoded [`DECODED`]
/// times.
fn decodings(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let decode = |path: &Cow<'_, str>| {
        let decoded = percent_decode_str(path).decode_utf8_lossy();
        (decoded != *path).then(|| Cow::Owned(decoded.into_owned()))
    };
    iter::successors(Some(Cow::Borrowed(path)), decode).take(DECODED.saturating_add(1))
}

/// Whether a path climbs nowhere, however often it is decoded: it has no segment `.` or `..`, not with parameters
/// (`..;x`) either, and no backslash, which many take for a slash. One that is encoded more often than whoever
/// serves it may decode it does.
///
/// What stands before an API that resolves paths must let no others through: whoever serves `/free/../dear` as
/// `/dear` would serve what was not paid for, or what is not published at all.
pub fn is_plain(path: &str) -> bool {
    let climbs = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    let climbs = |path: &str| path.contains('\\') || path.split('/').any(climbs);
    decodings(path).enumerate().all(|(times, path)| times < DECODED && !climbs(&path))
}

/// What a service behind the layer may take a path for besides what it is: decoded, once or until nothing is left
/// to decode, with its parameters (`;v=1`) cut off, its backslashes taken for slashes, and resolved. Nothing, for
/// most paths.
pub(crate) fn other_readings(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let others = (!has_one_reading(path)).then(|| {
        let mut decoded = decodings(path).skip(1);
        let once = decoded.next().unwrap_or(Cow::Borrowed(path));
        let decoded = decoded.last().unwrap_or_else(|| once.clone());
        let bare = without_parameters(&decoded.replace('\\', "/"));
        let resolved = [without_dots(&once), without_dots(&decoded), without_dots(&bare)].map(Cow::Owned);
        [once, decoded, Cow::Owned(bare)].into_iter().chain(resolved)
    });
    others.into_iter().flatten()
}

/// The path with what follows a `;` in each segment cut off.
fn without_parameters(path: &str) -> String {
    let names = path.split('/').map(|segment| segment.split_once(';').map_or(segment, |(name, _)| name));
    names.collect::<Vec<_>>().join("/")
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
        for path in
            ["/a;b", "/a\\b", "", "a", "//", "/a//b", "/.", "/..", "/a/./b", "/.well-known", "/%61", "/a%2f"]
        {
            assert!(!has_one_reading(path), "{path}");
        }
    }

    #[test]
    fn a_path_is_decoded_until_nothing_is_left_to_decode_and_not_for_ever() {
        let all = |path| decodings(path).collect::<Vec<_>>();
        assert_eq!(all("/a"), ["/a"]);
        assert_eq!(all("/%2561"), ["/%2561", "/%61", "/a"]);
        assert_eq!(all("/%2525252525").last().unwrap(), "/%25");
    }

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
