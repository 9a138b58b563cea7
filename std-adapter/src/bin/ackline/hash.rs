//! SHA-256 of files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

pub type Hash = [u8; 32];

/// The hash and the length of the file at `path`.
pub fn hash_file(path: &Path) -> io::Result<(Hash, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        let len = file.read(&mut buffer)?;
        if len == 0 {
            return Ok((hasher.finalize().into(), total));
        }
        hasher.update(&buffer[..len]);
        total += len as u64;
    }
}

/// The first bytes of a hash, for people.
pub fn short(hash: &Hash) -> String {
    hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
