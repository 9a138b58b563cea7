//! What a desktop tells about itself, a line of text at a time, so that it survives being killed.

use std::fmt;
use std::str::FromStr;

/// The state of one run of the desktop.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Commands that the node's application has accepted.
    pub settled: u32,
    /// Readings received.
    pub readings: u32,
    /// Readings that came twice in one boot of the node, were missing, or were damaged.
    pub wrong: u32,
    /// Commands that ended in another way than settled.
    pub not_settled: u32,
    /// Restarts of the node that the link reported.
    pub restarts: u32,
    /// Boots of the node seen in its readings.
    pub boots: u32,
    /// Restarts of the desktop that the node reported, in its present boot.
    pub node_restarts: u32,
    /// Packets that the desktop's link declared lost.
    pub lost: u32,
    /// Of those, packets that had arrived.
    pub spurious: u32,
    /// Probe timeouts of the desktop's link.
    pub probes: u32,
    /// 1 when all messages are through and accounted for, at both ends.
    pub done: u32,
}

impl Report {
    fn fields(&mut self) -> [&mut u32; 11] {
        [
            &mut self.settled,
            &mut self.readings,
            &mut self.wrong,
            &mut self.not_settled,
            &mut self.restarts,
            &mut self.boots,
            &mut self.node_restarts,
            &mut self.lost,
            &mut self.spurious,
            &mut self.probes,
            &mut self.done,
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut copy = *self;
        let fields = copy.fields().map(|field| field.to_string());
        f.write_str(&fields.join(" "))
    }
}

impl FromStr for Report {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut report = Report::default();
        for (field, word) in report.fields().into_iter().zip(text.split_whitespace()) {
            *field = word.parse()?;
        }
        Ok(report)
    }
}
