//! Puts the memory map of the chosen board where the linker finds it.

use std::{env, fs, path::Path};

const BOARDS: [&str; 4] = ["lm3s6965evb", "mps2-an385", "microbit", "riscv-virt"];

fn main() {
    let is_chosen = |board: &&str| {
        let feature = board.to_uppercase().replace('-', "_");
        env::var_os(format!("CARGO_FEATURE_{feature}")).is_some()
    };
    let chosen: Vec<_> = BOARDS.into_iter().filter(is_chosen).collect();
    let [board] = chosen[..] else { panic!("choose exactly one board of {BOARDS:?}, not {chosen:?}") };
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let source = format!("memory/{board}.x");
    fs::copy(&source, Path::new(&out).join("memory.x")).expect("every board has a memory map");
    println!("cargo:rustc-link-search={out}");
    println!("cargo:rerun-if-changed={source}");
}
