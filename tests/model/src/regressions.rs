//! Sequences that once ended in a difference, kept for ever: every run begins with them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::search::{Failure, Origin};
use crate::sequence::Sequence;

/// Where they are kept, a file each.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions")
}

/// All of them, by file name.
///
/// # Panics
/// Where a file is no sequence.
pub fn all() -> Vec<(String, Sequence)> {
    let files = fs::read_dir(folder()).expect("the regressions are in the source tree");
    let paths = files.filter_map(|file| Some(file.ok()?.path()));
    let mut named: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("a readable file");
            let sequence = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, sequence)
        })
        .collect();
    named.sort_by(|(one, _), (other, _)| one.cmp(other));
    named
}

/// Keeps what was found, and says where; `None` where it can't be written, or is kept already.
pub fn keep(failure: &Failure) -> Option<PathBuf> {
    let Origin::Run { seed, at } = failure.origin else { return None };
    let path = folder().join(format!("found-{seed}-{at}.json"));
    let text = serde_json::to_string_pretty(&failure.sequence).ok()?;
    fs::write(&path, text + "\n").ok()?;
    Some(path)
}
