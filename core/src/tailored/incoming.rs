//! Incoming messages of a channel: from the first fragment until they are settled.
//!
//! A ring of places stands for the numbers from `base` on; `base` passes what is done. With mode `Latest` there is one place,
//! for the newest.

use super::endpoint::{Endpoint, bit, precedes};
use super::frames::Frame;
use super::profile::{Counters, Profile};
use crate::compact::codec::copy;
use crate::config::{Channel, Mode, Settle};
use crate::error::UnknownDelivery;
use crate::event::{Delivery, DeliveryId};
use crate::time::Instant;
use crate::wire::granule_bits;

/// States of a place in the inbox.
pub(super) mod place {
    pub(in super::super) const EMPTY: u16 = 0;
    /// Settled, or it will not come.
    pub(in super::super) const DONE: u16 = 1;
    /// This and more: the length of a message that is there, and this.
    pub(in super::super) const READY: u16 = 2;
    /// Beside a length: only some fragments are there. A bitmap of them ends the place.
    pub(in super::super) const PARTIAL: u16 = 0x2000;
    /// Beside a length: the application has it, and has not settled it.
    pub(in super::super) const TAKEN: u16 = 0x4000;
    /// Beside a length: the message is redelivered.
    pub(in super::super) const REDELIVERED: u16 = 0x8000;
}

impl<P: Profile, const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize>
    Endpoint<P, CHANNELS, MESSAGES, BYTES, DATAGRAM>
{
    /// What keeps a message that is there from being handed out.
    const HELD: u16 = if P::FRAGMENTS { place::PARTIAL } else { 0 }
        | if Self::HAS_EXPLICIT || Self::HAS_LATEST { place::TAKEN } else { 0 };

    fn is_settled_later(c: usize) -> bool {
        Self::HAS_EXPLICIT && P::CHANNELS.get(c).is_some_and(|channel| channel.settle == Settle::Explicit)
    }

    pub(super) fn receives_latest(&self, c: usize) -> bool {
        Self::HAS_LATEST && self.heads.get(c).is_some_and(|h| h.mode == Mode::Latest as u8)
    }

    /// The place of message `n`.
    fn place(&self, c: usize, n: u32) -> usize {
        if self.receives_latest(c) { 0 } else { n as usize % MESSAGES }
    }

    fn in_state(&mut self, c: usize, n: u32) -> Option<&mut u16> {
        let place = self.place(c, n);
        self.slots.get_mut(c)?.in_state.get_mut(place)
    }

    /// The message of a channel that the application gets next.
    fn ready(&self, c: usize) -> Option<u32> {
        let head = self.heads.get(c)?;
        let states = &self.slots.get(c)?.in_state;
        let mut n = head.base;
        if self.receives_latest(c) {
            n = head.newest.wrapping_sub(1);
        }
        for _ in 0..if Self::IS_SCATTERED { MESSAGES } else { 1 } {
            let state = *states.get(self.place(c, n))?;
            let is_there = state >= place::READY;
            if is_there && state & Self::HELD == 0 {
                return Some(n);
            }
            let is_awaited = !is_there && state != place::DONE || P::FRAGMENTS && state & place::PARTIAL != 0;
            if is_awaited && head.mode == Mode::Ordered as u8 || self.receives_latest(c) {
                return None;
            }
            n = n.wrapping_add(1);
        }
        None
    }

    /// The next received message, if there is one. Taking it settles it, unless the channel settles
    /// [explicitly](Settle::Explicit). Poll for datagrams afterwards: the settlement goes out.
    pub fn recv(&mut self, _now: Instant) -> Option<Delivery<'_>> {
        let (c, n) = (0..CHANNELS).find_map(|c| Some((c, self.ready(c)?)))?;
        let place = self.place(c, n);
        let generation = self.generation;
        let is_settled = !Self::is_settled_later(c);
        let state = self.in_state(c, n)?;
        let taken = *state;
        if Self::HELD & place::TAKEN != 0 {
            *state |= place::TAKEN;
        }
        if is_settled {
            self.settle_taken(c, n);
        }
        self.counters.count(|s| s.messages_received = s.messages_received.wrapping_add(1));
        let len = usize::from(taken & !place::REDELIVERED).wrapping_sub(place::READY.into());
        Some(Delivery {
            id: DeliveryId { channel: Channel(c as u8), sequence: n, generation },
            payload: self.slots.get(c)?.inn.get(place)?.get(..len)?,
            redelivered: taken & place::REDELIVERED != 0,
        })
    }

    /// Whether [`recv`](Self::recv) would give something.
    pub fn has_delivery(&self) -> bool {
        (0..CHANNELS).any(|c| self.ready(c).is_some())
    }

    /// Settles a message that was taken on a channel that settles [explicitly](Settle::Explicit). Poll for datagrams
    /// afterwards.
    ///
    /// # Errors
    ///
    /// [`UnknownDelivery`]: it is settled already, or its sender has restarted since and will send it again, flagged
    /// redelivered.
    pub fn settle(&mut self, _now: Instant, id: DeliveryId) -> Result<(), UnknownDelivery> {
        let (c, n) = (usize::from(id.channel.0), id.sequence);
        let head = self.heads.get(c).ok_or(UnknownDelivery)?;
        let index = n.wrapping_sub(head.base);
        let is_latest = self.receives_latest(c);
        let mut count = MESSAGES as u32;
        if is_latest {
            count = head.newest.wrapping_sub(head.base);
        }
        let is_newest = n.wrapping_add(1) == head.newest;
        let state = self.in_state(c, n).copied().unwrap_or(0);
        // Of mode `Latest`, whatever is older than the newest that was begun can only have been taken.
        let is_taken = state & place::TAKEN != 0 || is_latest && !is_newest;
        if !Self::HAS_EXPLICIT || id.generation != self.generation || index >= count || !is_taken {
            return Err(UnknownDelivery);
        }
        self.settle_taken(c, n);
        Ok(())
    }

    /// Message `n` is settled.
    fn settle_taken(&mut self, c: usize, n: u32) {
        if self.receives_latest(c) {
            self.move_base(c, n.wrapping_add(1));
        } else {
            if let Some(state) = self.in_state(c, n) {
                *state = place::DONE;
            }
            self.pass_done(c);
        }
        if self.due & bit::ACK == 0 {
            // An acknowledgement has left already: what is settled must be said for certain.
            self.due |= bit::SETTLED;
        }
    }

    fn pass_done(&mut self, c: usize) {
        let (Some(head), Some(slots)) = (self.heads.get_mut(c), self.slots.get_mut(c)) else { return };
        let mut base = head.base;
        while let Some(state) = slots.in_state.get_mut(base as usize % MESSAGES)
            && *state == place::DONE
        {
            *state = place::EMPTY;
            base = base.wrapping_add(1);
        }
        self.move_base(c, base);
    }

    /// What is settled has changed, perhaps.
    fn move_base(&mut self, c: usize, base: u32) {
        let Some(head) = self.heads.get_mut(c) else { return };
        if CHANNELS > 1 && head.base != base {
            // R6.14.
            self.untold |= 1 << c;
            self.flying_told &= !(1 << c);
        }
        head.base = base;
    }

    /// Notes what became of an incoming message, if that is not known yet. `false`: there is no room.
    pub(super) fn put(&mut self, c: usize, frame: &Frame<'_>, state: u16) -> bool {
        let n = frame.n;
        let place = self.place(c, n);
        let is_latest = self.receives_latest(c);
        let (Some(head), Some(slots)) = (self.heads.get_mut(c), self.slots.get_mut(c)) else { return false };
        let (Some(room), Some(own)) = (slots.inn.get_mut(place), slots.in_state.get_mut(place)) else {
            return false;
        };
        let index = n.wrapping_sub(head.base);
        if CHANNELS > 1 && index > i32::MAX as u32 {
            // The peer may have missed that it is settled.
            self.untold |= 1 << c;
        }
        if is_latest {
            let end = n.wrapping_add(1);
            if precedes(n, head.base) || precedes(end, head.newest) {
                return true;
            }
            if end != head.newest {
                // R14.5.
                head.newest = end;
                *own = place::EMPTY;
            }
        } else if index >= MESSAGES as u32 {
            // What is before was settled.
            return index > i32::MAX as u32;
        }
        if P::FRAGMENTS && frame.kind & 0xa0 == 0xa0 {
            return put_fragment(room, own, frame, Self::MESSAGE_MAX);
        }
        if *own == place::EMPTY || P::FRAGMENTS && *own & (place::PARTIAL | place::TAKEN) == place::PARTIAL {
            if !copy(room, frame.payload) {
                return false;
            }
            *own = state;
        }
        true
    }

    /// `count` messages from `first` on will not come. `false`: it cannot be noted.
    pub(super) fn on_skip(&mut self, c: usize, first: u32, count: u32) -> bool {
        if self.receives_latest(c) {
            return true;
        }
        // As many as can be outstanding, and as many that are behind.
        if count > 64 {
            return false;
        }
        for i in 0..count {
            if !self.put(c, &Frame { n: first.wrapping_add(i), ..Frame::default() }, place::DONE) {
                return false;
            }
        }
        self.pass_done(c);
        true
    }

    /// The peer's messages before `base` will not come any more; `is_first`: it had not told where they begin (R8.12).
    pub(super) fn on_base(&mut self, c: usize, base: u32, is_first: bool) {
        let Some(&head) = self.heads.get(c) else { return };
        let ahead = base.wrapping_sub(head.base);
        let begins = is_first && head.base == 0;
        if ahead > i32::MAX as u32 && !begins {
            return;
        }
        if Self::HAS_LATEST && head.mode == Mode::Latest as u8 {
            if precedes(head.newest, base) || begins {
                self.empty_inbox(c, base);
            }
        } else if !self.on_skip(c, head.base, ahead) {
            self.empty_inbox(c, base);
        }
    }

    /// The peer's numbering begins at `base`.
    pub(super) fn empty_inbox(&mut self, c: usize, base: u32) {
        let (Some(head), Some(slots)) = (self.heads.get_mut(c), self.slots.get_mut(c)) else { return };
        head.base = base;
        if Self::HAS_LATEST {
            head.newest = base;
        }
        for state in &mut slots.in_state {
            *state = place::EMPTY;
        }
    }
}

/// Stores a fragment. `false`: there is no room for it.
fn put_fragment(room: &mut [u8], own: &mut u16, frame: &Frame<'_>, message_max: usize) -> bool {
    let total = frame.total as usize;
    if total > message_max {
        return false;
    }
    let Some((body, bits)) = room.split_at_mut_checked(room.len().wrapping_sub(bitmap_len(total))) else {
        return false;
    };
    let partial = place::PARTIAL | (total as u16 + place::READY);
    if *own == place::EMPTY {
        *own = partial;
        for byte in &mut *bits {
            *byte = 0;
        }
    }
    if *own & !place::REDELIVERED != partial {
        // It is complete, or was another message (R6.8).
        return *own & (place::PARTIAL | place::TAKEN) != place::PARTIAL;
    }
    let shift = granule_bits(frame.total);
    let first = frame.value as usize;
    let Some(body) = body.get_mut(first << shift..) else { return false };
    copy(body, frame.payload);
    if frame.kind & 0x10 != 0 {
        *own |= place::REDELIVERED;
    }
    for granule in first..first + frame.payload.len().div_ceil(1 << shift) {
        if let Some(byte) = bits.get_mut(granule / 8) {
            *byte |= 1 << (granule % 8);
        }
    }
    let is_there = |granule: usize| bits.get(granule / 8).is_some_and(|byte| byte >> (granule % 8) & 1 != 0);
    if (0..total.div_ceil(1 << shift)).all(is_there) {
        *own &= !place::PARTIAL;
    }
    true
}

/// How many bytes the bitmap of a message's granules has.
fn bitmap_len(total: usize) -> usize {
    total.div_ceil(8 << granule_bits(total as u32))
}
