use std::fmt;

use serde::{Deserialize, Serialize};

use crate::operation::Operation;
use crate::trial::Setting;

/// A sequence: what it begins with, and what is done. As JSON it is a regression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// What it begins with.
    pub setting: Setting,
    /// What is done.
    pub operations: Vec<Operation>,
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.setting)?;
        let mut lines = self.operations.iter().enumerate();
        lines.try_for_each(|(at, operation)| writeln!(f, "{:>3}  {operation:?}", at + 1))
    }
}
