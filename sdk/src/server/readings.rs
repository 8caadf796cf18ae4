//! What a service behind the layer may take a path for: it may decode it, and resolve it, or not.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Whether there is nothing to decode and nothing to resolve.
pub(crate) fn has_one_reading(path: &str) -> bool {
    let ambiguous = |pair: &[u8]| matches!(pair, [b'/', b'/' | b'.']);
    path.starts_with('/') && !path.contains(['%', '\\', ';']) && !path.as_bytes().windows(2).any(ambiguous)
}

/// How often a path may be decoded on its way to whoever serves it.
const DECODED: usize = 4;

/// What a service behind the layer may take a path for besides what it is: decoded, once or until nothing is left
/// to decode, with its parameters (`;v=1`) cut off, its backslashes taken for slashes, and resolved. Nothing, for
/// most paths.
pub(crate) fn other_readings(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let others = (!has_one_reading(path)).then(|| {
        let once = percent_decode_str(path).decode_utf8_lossy();
        let mut decoded = once.clone().into_owned();
        for _ in 1..DECODED {
            let more = percent_decode_str(&decoded).decode_utf8_lossy().into_owned();
            if more == decoded {
                break;
            }
            decoded = more;
        }
        let bare = without_parameters(&decoded.replace('\\', "/"));
        let resolved = [without_dots(&once), without_dots(&decoded), without_dots(&bare)].map(Cow::Owned);
        [once, Cow::Owned(decoded), Cow::Owned(bare)].into_iter().chain(resolved)
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
}
