//! Deciding what an arriving datagram is, before any state is kept for its sender: protocol.md, section 9.
