//! Images that log by defmt need its linker script.

fn main() {
    println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
}
