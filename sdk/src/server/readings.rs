//! What a service behind the layer may take a path for: it may decode it, and resolve it, or not.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Whether there is nothing to decode and nothing to resolve.
pub(crate) fn has_one_reading(path: &str) -> bool {
    let ambiguous = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.']);
    path.starts_with('/') && !path.contains('%') && !path.as_bytes().windows(2).any(ambiguous)
}

/// What a service behind the layer may take a path for besides what it is: decoded, and resolved. Nothing, for
/// most paths.
pub(crate) fn other_readings(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
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
}
