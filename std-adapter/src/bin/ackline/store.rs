//! Where received files go, so that a receiver killed at any moment goes on where it was.
//!
//! ```text
//!   DIR/.ackline-<transfer>-<index>.part    the bytes received so far, each at its place
//!   DIR/.ackline-<transfer>-<index>.head    name, length and hash, once the beginning was received
//!   DIR/<name>                              the file, once it is complete and its hash is right
//! ```
//!
//! **Invariant.** Whatever was settled is in these files. Handling a message again changes nothing.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::hash::{Hash, hash_file};
use crate::transfer::FileId;

/// Files kept open at once. Chosen: far below the usual limit of 1,024.
const OPEN_MAX: usize = 64;

pub struct Store {
    dir: PathBuf,
    open: HashMap<FileId, File>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    name: PathBuf,
    len: u64,
    hash: Hash,
}

impl Store {
    pub fn new(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            bail!("{} is not a directory", dir.display());
        }
        Ok(Store { dir: dir.to_owned(), open: HashMap::new() })
    }

    /// A file follows.
    pub fn begin(&mut self, file: FileId, name: &str, len: u64, hash: Hash) -> Result<()> {
        let head = Head { name: safe_name(name)?, len, hash };
        let path = self.path(file, "head");
        // Written beside and renamed, so that it is whole whenever it is there.
        let partial = self.path(file, "head-part");
        fs::write(&partial, postcard::to_stdvec(&head)?)
            .and_then(|()| fs::rename(&partial, &path))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(())
    }

    /// Bytes of a file, whose beginning may arrive later.
    pub fn write(&mut self, file: FileId, offset: u64, bytes: &[u8]) -> Result<()> {
        let path = self.path(file, "part");
        self.part(file)
            .and_then(|part| {
                part.seek(SeekFrom::Start(offset))?;
                part.write_all(bytes)
            })
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Everything was received: checks the file and gives it its name.
    pub fn finish(&mut self, file: FileId) -> Result<()> {
        let head_path = self.path(file, "head");
        let head: Head = match fs::read(&head_path) {
            Ok(bytes) => postcard::from_bytes(&bytes)?,
            // Finished before, by an incarnation that did not live to settle it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", head_path.display())),
        };
        let name = self.dir.join(&head.name);
        let part_path = self.path(file, "part");
        if !part_path.exists() && hash_file(&name).is_ok_and(|(hash, _)| hash == head.hash) {
            // Killed between giving it its name and here.
            return fs::remove_file(&head_path)
                .with_context(|| format!("cannot remove {}", head_path.display()));
        }
        // An empty file has no pieces.
        self.part(file).with_context(|| format!("cannot write {}", part_path.display()))?;
        self.open.remove(&file);
        let (hash, len) = hash_file(&part_path)?;
        if (hash, len) != (head.hash, head.len) {
            bail!("{} differs from what was sent", name.display());
        }
        if let Some(parent) = name.parent() {
            fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        }
        let name = free_name(&name, &head.hash)?;
        fs::rename(&part_path, &name).with_context(|| format!("cannot write {}", name.display()))?;
        fs::remove_file(&head_path).with_context(|| format!("cannot remove {}", head_path.display()))?;
        Ok(())
    }

    fn part(&mut self, file: FileId) -> io::Result<&mut File> {
        if !self.open.contains_key(&file) {
            if self.open.len() >= OPEN_MAX {
                self.open.clear();
            }
            let path = self.path(file, "part");
            let part = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            self.open.insert(file, part);
        }
        self.open.get_mut(&file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn path(&self, file: FileId, kind: &str) -> PathBuf {
        self.dir.join(format!(".ackline-{:016x}-{}.{kind}", file.transfer, file.index))
    }
}

/// `name` as a path below the directory: whatever would lead out of it is refused.
fn safe_name(name: &str) -> Result<PathBuf> {
    let path = PathBuf::from(name);
    let is_safe = path.components().all(|part| matches!(part, Component::Normal(_)));
    if !is_safe || name.is_empty() {
        bail!("the sender named a file {name:?}, which is not a name below this directory");
    }
    Ok(path)
}

/// `name`, or `name.1`, `name.2`... if another file has it already. The same file again takes its place.
fn free_name(name: &Path, hash: &Hash) -> Result<PathBuf> {
    for n in 0..1000 {
        let candidate = match n {
            0 => name.to_owned(),
            n => {
                let mut text = name.as_os_str().to_owned();
                text.push(format!(".{n}"));
                PathBuf::from(text)
            }
        };
        match hash_file(&candidate) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(candidate),
            Ok((existing, _)) if existing == *hash => return Ok(candidate),
            _ => {}
        }
    }
    bail!("{} and a thousand names like it are taken", name.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId { transfer: 7, index: 0 };

    fn hash(bytes: &[u8]) -> Hash {
        use sha2::Digest;
        sha2::Sha256::digest(bytes).into()
    }

    #[test]
    fn pieces_in_any_order_and_twice_make_the_file_across_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::new(dir.path()).unwrap();
        store.write(FILE, 3, b"lo!").unwrap();
        store.begin(FILE, "a/hello", 6, hash(b"hello!")).unwrap();
        let mut store = Store::new(dir.path()).unwrap();
        store.write(FILE, 0, b"hel").unwrap();
        store.write(FILE, 3, b"lo!").unwrap();
        store.finish(FILE).unwrap();
        assert_eq!(fs::read(dir.path().join("a/hello")).unwrap(), b"hello!");
        // Settled by nobody, so it comes again.
        store.finish(FILE).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn finish_cut_short_after_the_renaming_is_completed() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::new(dir.path()).unwrap();
        store.begin(FILE, "x", 2, hash(b"hi")).unwrap();
        fs::write(dir.path().join("x"), "hi").unwrap();
        store.finish(FILE).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn missing_bytes_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::new(dir.path()).unwrap();
        store.begin(FILE, "x", 6, hash(b"hello!")).unwrap();
        store.write(FILE, 3, b"lo!").unwrap();
        assert!(store.finish(FILE).is_err());
        assert!(!dir.path().join("x").exists());
    }

    #[test]
    fn another_file_of_the_same_name_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x"), "mine").unwrap();
        let mut store = Store::new(dir.path()).unwrap();
        store.begin(FILE, "x", 0, hash(b"")).unwrap();
        store.finish(FILE).unwrap();
        assert_eq!(fs::read(dir.path().join("x")).unwrap(), b"mine");
        assert_eq!(fs::read(dir.path().join("x.1")).unwrap(), b"");
    }

    #[test]
    fn names_that_lead_out_of_the_directory_are_refused() {
        for name in ["", "../x", "/etc/passwd", "a/../../x", "."] {
            assert!(safe_name(name).is_err(), "{name:?}");
        }
        assert!(safe_name("a/b.c").is_ok());
    }
}
