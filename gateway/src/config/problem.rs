use std::ops::Range;
use std::path::{Path, PathBuf};

/// What is wrong with a configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigProblem {
    /// `file:line:column`, or the option.
    pub place: String,
    /// What is wrong, and what would do.
    pub message: String,
}

/// The span of what was said on the command line.
pub(super) const COMMAND_LINE: Range<usize> = usize::MAX..usize::MAX;

/// A configuration's text, to find lines in.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    pub(super) path: Option<PathBuf>,
    pub(super) text: String,
}

impl Source {
    /// A problem with what stands at `span`.
    pub(super) fn problem(&self, span: &Range<usize>, message: impl Into<String>) -> ConfigProblem {
        ConfigProblem { place: self.place(span), message: message.into() }
    }

    /// A problem with what is not there.
    pub(super) fn missing(&self, message: impl Into<String>) -> ConfigProblem {
        let place = self.path.as_deref().map_or_else(|| "the command line".to_owned(), shown);
        ConfigProblem { place, message: message.into() }
    }

    /// A problem of TOML itself.
    pub(super) fn unreadable(&self, error: &toml::de::Error) -> ConfigProblem {
        let message = error.message().to_owned();
        match error.span() {
            Some(span) => self.problem(&span, message),
            None => self.missing(message),
        }
    }

    /// What a relative path of the configuration is relative to: the folder of its file.
    pub(super) fn folder(&self) -> &Path {
        self.path.as_deref().and_then(Path::parent).unwrap_or_else(|| Path::new(""))
    }

    fn place(&self, span: &Range<usize>) -> String {
        let Some(path) = self.path.as_ref().filter(|_| *span != COMMAND_LINE) else {
            return "the command line".to_owned();
        };
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let line = before.matches('\n').count().saturating_add(1);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
        format!("{}:{line}:{column}", path.display())
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_by_file_line_and_column() {
        let source = Source { path: Some("amp.toml".into()), text: "a = 1\n\nbb = \u{e4} 2\n".into() };
        assert_eq!(source.place(&(0..1)), "amp.toml:1:1");
        assert_eq!(source.place(&(7..9)), "amp.toml:3:1");
        assert_eq!(source.place(&(15..16)), "amp.toml:3:8", "in characters");
        assert_eq!(source.place(&COMMAND_LINE), "the command line");
    }
}
