//! End-to-end tests of the telemetry node.
//!
//! ```text
//! e2e run BOARD IMAGE ELF [--messages N] [--clean]
//! e2e stall BOARD IMAGE ELF
//! e2e show BOARD IMAGE ELF [SECONDS]
//! e2e desktop udp:PORT|unix:PATH RUN COMMANDS READINGS [stalls]
//! ```
//!
//! `run` starts the emulator, a relay that impairs the link, and a desktop: this program again, as `desktop`, in a process
//! of its own, so that it can be killed. While messages flow both ways it resets the board twice by the emulator's monitor
//! and kills the desktop once. It ends with status 0 if every promise held and both sides, the board in its log, told of
//! every restart.
//! `stall` makes the node stand still now and then, on a good link, and looks at what that costs both sides.
//! `show` is for people: it prints what the node sends, and then what the board has logged.

mod desktop;
mod emulator;
mod log;
mod report;
mod scenario;

use std::process::ExitCode;

/// Why a test failed.
pub type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["run", board, image, elf, ref options @ ..] => scenario::run(board, image, elf, options),
        ["stall", board, image, elf] => scenario::stall(board, image, elf),
        ["show", board, image, elf] => scenario::show(board, image, elf, "10"),
        ["show", board, image, elf, seconds] => scenario::show(board, image, elf, seconds),
        ["desktop", line, run, commands, readings] => desktop::run(line, run, commands, readings, false),
        ["desktop", line, run, commands, readings, "stalls"] => {
            desktop::run(line, run, commands, readings, true)
        }
        _ => {
            Err("usage: e2e run BOARD IMAGE ELF [--messages N] [--clean] | e2e stall|show BOARD IMAGE ELF"
                .into())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("FAILED: {failure}");
            ExitCode::FAILURE
        }
    }
}
