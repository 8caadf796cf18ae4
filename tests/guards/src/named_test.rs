//! Tests by the names that the table gives them.

use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Which program holds a test, and its name there.
///
/// `settle::name` is in `tests/program/tests/settle.rs`; `amp-protocol::rules::close::tests::name` stands
/// beside the rule; `amp-protocol/vectors::name` is in `sdk/protocol/tests/vectors.rs`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedTest {
    /// Whose tests.
    pub suite: Suite,
    /// The name of the test's executable: a file's, or `lib`.
    pub binary: String,
    /// The name that libtest knows it by.
    pub name: String,
}

/// The packages that hold the tests of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// `amp-program-tests`: the bytecode.
    Program,
    /// `amp-protocol`: the rules on the host.
    Protocol,
}

impl NamedTest {
    /// Reads a name of the table.
    pub fn parse(text: &str) -> Result<Self> {
        let (head, rest) = text.split_once("::").with_context(|| format!("{text}: not a test's name"))?;
        let (suite, binary) = match head.split_once('/') {
            Some(("amp-protocol", binary)) => (Suite::Protocol, binary),
            None if head == "amp-protocol" => (Suite::Protocol, "lib"),
            _ => (Suite::Program, head),
        };
        Ok(Self { suite, binary: binary.to_owned(), name: rest.to_owned() })
    }

    /// The file that holds it, relative to the workspace.
    pub fn file(&self) -> String {
        match (self.suite, self.binary.as_str()) {
            (Suite::Program, binary) => format!("tests/program/tests/{binary}.rs"),
            (Suite::Protocol, "lib") => {
                let modules: Vec<_> = self.name.split("::").collect();
                // the last two are `tests` and the function
                let path = modules.get(..modules.len().saturating_sub(2)).unwrap_or_default().join("/");
                format!("sdk/protocol/src/{path}.rs")
            }
            (Suite::Protocol, binary) => format!("sdk/protocol/tests/{binary}.rs"),
        }
    }

    /// The function's name.
    pub fn function(&self) -> &str {
        self.name.rsplit("::").next().unwrap_or_default()
    }

    /// Whether the file has such a test.
    pub fn exists(&self, workspace: &Path) -> Result<()> {
        let file = self.file();
        let text = std::fs::read_to_string(workspace.join(&file)).with_context(|| file.clone())?;
        let signature = format!("fn {}(", self.function());
        let mut lines = text.lines().collect::<Vec<_>>().into_iter().rev();
        let found = lines.any(|line| line.trim_start().starts_with(&signature));
        let attributes =
            lines.map(str::trim).take_while(|line| line.starts_with('#') || line.starts_with("//"));
        ensure!(found, "{file} has no test {}", self.function());
        ensure!(attributes.into_iter().any(|line| line == "#[test]"), "{} is no test", self.function());
        Ok(())
    }
}
