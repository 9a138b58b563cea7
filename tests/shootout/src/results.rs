//! What was measured, in files: `results/*.json`, each a list of rows that a later run replaces one by one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The folder of the results.
pub struct Results {
    folder: PathBuf,
}

/// A row that a new measurement of the same thing replaces.
pub trait Row: Serialize + DeserializeOwned {
    /// The file, without its ending.
    const FILE: &'static str;
    /// True if both measure the same thing.
    fn is_same(&self, other: &Self) -> bool;
}

impl Results {
    /// The results in `folder`.
    pub fn in_folder(folder: &Path) -> Self {
        Results { folder: folder.to_owned() }
    }

    /// Where a file of the results is.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// All rows; none if nothing was measured yet.
    ///
    /// # Errors
    /// If the file is not one of these.
    pub fn load<R: Row>(&self) -> anyhow::Result<Vec<R>> {
        let file = self.file(&format!("{}.json", R::FILE));
        if !file.exists() {
            return Ok(Vec::new());
        }
        let text = fs::read_to_string(&file)?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged: delete it", file.display()))
    }

    /// Adds rows, in place of older ones of the same thing.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn store<R: Row>(&self, new: Vec<R>) -> anyhow::Result<()> {
        let mut rows: Vec<R> = self.load()?;
        for row in new {
            match rows.iter_mut().find(|old| old.is_same(&row)) {
                Some(old) => *old = row,
                None => rows.push(row),
            }
        }
        // One row a line: short, and a difference shows which row changed.
        let lines: Result<Vec<_>, _> = rows.iter().map(serde_json::to_string).collect();
        let text = format!("[\n{}\n]\n", lines?.join(",\n"));
        fs::create_dir_all(&self.folder)?;
        Ok(fs::write(self.file(&format!("{}.json", R::FILE)), text)?)
    }
}
