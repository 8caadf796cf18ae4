//! Files that look as if only a part of them were there.
//!
//! Not every half of a file is one that can't be read: cut at the end of a line it lacks routes, which then cost what
//! everything else does, or a route's `per` or `mode`; cut within one, `per = 1000` is `per = 10`. So whoever only
//! looks whether the file has changed does not take it up, and whoever is told to (SIGHUP) does.

use super::{ConfigProblem, Settings};

impl Settings {
    /// Why `new`, which is in the place of this, may be a part of a file that is still being written.
    pub(crate) fn looks_cut(&self, new: &Self) -> Option<ConfigProblem> {
        let (before, after) = (self.source.text.as_str(), new.source.text.as_str());
        let kept = |path: &str| new.file.route.iter().any(|route| route.path.get_ref() == path);
        let lost = self.file.route.iter().map(|route| route.path.get_ref()).find(|path| !kept(path));
        let why = if before.trim_end().starts_with(after.trim_end()) && after.trim_end() != before.trim_end()
        {
            "it is only the beginning of what it was".to_owned()
        } else if before.ends_with('\n') && !after.ends_with('\n') {
            "its last line has no end".to_owned()
        } else {
            format!("the price of {} is gone", lost?)
        };
        let message = format!(
            "{why}, as if it were still being written; it is not taken up unless it goes on to change, or by SIGHUP"
        );
        Some(new.source.missing(message))
    }
}
