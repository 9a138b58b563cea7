//! The board's log: defmt frames on the emulator's standard output.

use std::path::Path;

use defmt_decoder::{DecodeError, Table};

use crate::Failure;

/// Decodes the log of `elf`, one line a frame. What a reset cut off is passed over.
pub fn lines(elf: &Path, log: &Path) -> Result<Vec<String>, Failure> {
    let elf = std::fs::read(elf)?;
    let table = Table::parse(&elf)?.ok_or("the image has no defmt section")?;
    let mut decoder = table.new_stream_decoder();
    decoder.received(&std::fs::read(log)?);
    let mut lines = Vec::new();
    loop {
        match decoder.decode() {
            Ok(frame) => lines.push(frame.display_message().to_string()),
            Err(DecodeError::UnexpectedEof) => return Ok(lines),
            Err(DecodeError::Malformed) if table.encoding().can_recover() => {}
            Err(DecodeError::Malformed) => return Err("the log is damaged".into()),
        }
    }
}

/// What a node must have said after two resets of the board and one restart of the desktop: three boots, each of another
/// seed and each connected, and one restart of its peer, in its second life.
pub fn check(lines: &[String]) -> Result<(), Failure> {
    let mut boots: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in lines {
        match (line.strip_prefix("boot "), boots.last_mut()) {
            (Some(seed), _) => boots.push((seed, Vec::new())),
            (None, Some((_, life))) => life.push(line),
            (None, None) => return Err(format!("the log begins with {line:?}").into()),
        }
    }
    let restarts: Vec<usize> =
        boots.iter().map(|(_, life)| life.iter().filter(|line| **line == "PeerRestarted").count()).collect();
    let all_differ = boots.iter().enumerate().all(|(i, (seed, _))| boots[..i].iter().all(|(s, _)| s != seed));
    let all_connect = boots.iter().all(|(_, life)| life.contains(&"Connected"));
    match restarts == [0, 1, 0] && all_differ && all_connect {
        true => Ok(()),
        false => Err(format!("the board's log does not tell the story: {boots:?}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    fn story(text: &str) -> bool {
        check(&text.split(' ').map(|line| line.replace('_', " ")).collect::<Vec<_>>()).is_ok()
    }

    #[test]
    fn log_with_three_boots_and_a_restart_in_the_second_is_the_story() {
        assert!(story("boot_1 Connected boot_2 Connected PeerRestarted boot_3 Connected"));
    }

    #[test]
    fn log_without_any_of_it_is_refused() {
        for log in [
            "boot_1 Connected boot_2 Connected boot_3 Connected",
            "boot_1 Connected boot_2 Connected PeerRestarted PeerRestarted boot_3 Connected",
            "boot_1 Connected boot_2 Connected PeerRestarted boot_2 Connected",
            "boot_1 Connected boot_2 Connected PeerRestarted",
            "boot_1 Connected boot_2 Connected PeerRestarted boot_3",
            "Connected",
        ] {
            assert!(!story(log), "{log}");
        }
    }
}
