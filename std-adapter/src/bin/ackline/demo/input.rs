//! Which files the demonstration sends.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use walkdir::WalkDir;

use crate::send::Source;

/// Files sent when none are named, at most, and their bytes, at most. Chosen: done in seconds on a path that loses a
/// fifth.
const FILES_MAX: usize = 200;
const BYTES_MAX: u64 = 2 << 20;

/// The files to send: those named, with everything below named directories; or this project's own.
pub fn sources(named: &[PathBuf]) -> Result<Vec<Source>> {
    if named.is_empty() {
        return own_files();
    }
    let mut sources = Vec::new();
    for path in named {
        if path.is_dir() {
            for file in files_below(path) {
                sources.push(source(&file, path)?);
            }
        } else {
            sources.push(Source::new(path)?);
        }
    }
    distinct(&mut sources);
    ensure!(!sources.is_empty(), "there are no files to send");
    Ok(sources)
}

fn own_files() -> Result<Vec<Source>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let root = if root.is_dir() { root.to_owned() } else { std::env::current_dir()? };
    let mut sources = Vec::new();
    let mut total = 0;
    for file in files_below(&root).into_iter().take(FILES_MAX) {
        let source = source(&file, &root)?;
        if total + source.len > BYTES_MAX {
            continue;
        }
        total += source.len;
        sources.push(source);
    }
    ensure!(!sources.is_empty(), "no files below {}: name some", root.display());
    Ok(sources)
}

/// All files below `dir`, without build products and hidden ones, sorted by name.
fn files_below(dir: &Path) -> Vec<PathBuf> {
    let is_wanted = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !(name.starts_with('.') || name == "target")
    };
    WalkDir::new(dir)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(is_wanted)
        .filter_map(|entry| entry.ok())
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.into_path())
        .collect()
}

/// A file under its name below `root`.
fn source(file: &Path, root: &Path) -> Result<Source> {
    let mut source = Source::new(file)?;
    let name = file.strip_prefix(root).with_context(|| format!("{} is elsewhere", file.display()))?;
    source.name = name.to_string_lossy().into_owned();
    Ok(source)
}

/// Makes names distinct: files of the same name from different places.
fn distinct(sources: &mut [Source]) {
    let mut seen = std::collections::HashSet::new();
    for (index, source) in sources.iter_mut().enumerate() {
        if !seen.insert(source.name.clone()) {
            source.name = format!("{index}-{}", source.name);
            seen.insert(source.name.clone());
        }
    }
}
