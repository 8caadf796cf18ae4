//! What was found so far, on disk: a run that is stopped goes on where it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// A finding, and what it was found of.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry<T> {
    /// Hash of everything that the finding depends on.
    of: String,
    found: T,
}

/// Findings by name.
#[derive(Debug)]
pub struct Ledger<T> {
    path: PathBuf,
    entries: Mutex<BTreeMap<String, Entry<T>>>,
}

impl<T: Clone + Serialize + for<'a> Deserialize<'a>> Ledger<T> {
    /// Reads the ledger of this name, or begins one.
    pub fn open(folder: &Path, name: &str) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{name}.json"));
        let entries = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok(Self { path, entries: Mutex::new(entries.unwrap_or_default()) })
    }

    /// What was found of exactly this.
    pub fn get(&self, name: &str, of: &str) -> Option<T> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(name).filter(|entry| entry.of == of).map(|entry| entry.found.clone())
    }

    /// Writes a finding.
    pub fn put(&self, name: &str, of: &str, found: T) -> Result<()> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.insert(name.to_owned(), Entry { of: of.to_owned(), found });
        let part = self.path.with_extension("part");
        std::fs::write(&part, serde_json::to_vec_pretty(&*entries)?)?;
        Ok(std::fs::rename(part, &self.path)?)
    }
}

/// A hash of texts.
pub fn hash<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<&[u8]> = texts.into_iter().flat_map(|text| [text.as_bytes(), b"\0"]).collect();
    solana_sha256_hasher::hashv(&texts).to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}
