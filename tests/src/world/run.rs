//! The event loop, and what one endpoint is put through at every event.

use std::cmp::Reverse;

use super::{Action, Class, DeliveryOf, Drive, Event, Take, Verdict, World};
use crate::endpoint::{Ending, Endpoint, Factory, Micros, Notice, Refusal};
use crate::net::Arrival;
use crate::oracle::{Broken, MessageKey, PAYLOAD_LEN_MIN, Rule};
use crate::world::Emission;
use crate::world::trace::hash_of;

/// Rounds of transmit, take and notices after one event, and timeouts in one instant, before that counts as spinning.
const ROUNDS_MAX: u32 = 1_000;
/// Datagrams emitted in one go before that counts as emitting without end.
const BURST_MAX: u32 = 100_000;

impl<F: Factory> World<F> {
    /// Handles the next event that is not after `limit`. False if there is none.
    pub(super) fn step(&mut self, limit: Micros) -> Verdict<bool> {
        let event_at = self.queue.peek().map(|Reverse(e)| e.at);
        let tick_at = self.drive.tick().map(|tick| (self.now / tick + 1) * tick);
        // A tick comes after everything else of its instant.
        if let Some(tick_at) = tick_at
            && event_at.is_none_or(|at| tick_at < at)
        {
            if tick_at > limit {
                return Ok(false);
            }
            self.now = tick_at;
            self.tick()?;
            return Ok(true);
        }
        if event_at.is_none_or(|at| at > limit) {
            return Ok(false);
        }
        let Some(Reverse(scheduled)) = self.queue.pop() else { return Ok(false) };
        let is_new_instant = scheduled.at > self.now;
        if is_new_instant {
            self.nodes.iter_mut().for_each(|n| n.spins = 0);
        }
        self.now = scheduled.at;
        self.handle(scheduled.class, scheduled.event)?;
        if let Some(tick) = self.drive.tick()
            && self.now.is_multiple_of(tick)
            && self.queue.peek().is_none_or(|Reverse(e)| e.at > self.now)
        {
            self.tick()?;
        }
        Ok(true)
    }

    fn tick(&mut self) -> Verdict {
        for node in 0..self.nodes.len() {
            if self.now >= self.nodes[node].stalled_until {
                self.wake(node)?;
            }
        }
        Ok(())
    }

    fn handle(&mut self, class: Class, event: Event<DeliveryOf<F>>) -> Verdict {
        if let Some(node) = self.stalled(&event) {
            let until = self.nodes[node].stalled_until;
            self.defer(node, until, class, event);
            return Ok(());
        }
        match event {
            Event::Arrive { node, incarnation, bytes } => self.arrive(node, incarnation, bytes),
            Event::Boot { node } => self.boot(node),
            Event::Offer { source } => {
                self.sources[source].has_event = false;
                let node = self.sources[source].traffic.node;
                self.offer_from(source)?;
                self.service(node)
            }
            Event::Take { node } => self.take_slowly(node),
            Event::Settle { node, work } => self.settle(node, work),
            Event::Act(action) => self.act(action),
            Event::EndOutage { node } => {
                self.nodes[node].path.config_mut().is_down = false;
                Ok(())
            }
            Event::Wake { node, generation } if generation == self.nodes[node].wake_generation => {
                self.wake(node)
            }
            Event::Wake { .. } => Ok(()),
        }
    }

    /// The node whose stall holds back `event`.
    fn stalled(&self, event: &Event<DeliveryOf<F>>) -> Option<usize> {
        let node = match event {
            Event::Arrive { node, .. }
            | Event::Take { node }
            | Event::Settle { node, .. }
            | Event::Wake { node, .. } => *node,
            Event::Offer { source } => self.sources[*source].traffic.node,
            Event::Boot { .. } | Event::Act(_) | Event::EndOutage { .. } => return None,
        };
        (self.now < self.nodes[node].stalled_until).then_some(node)
    }

    fn defer(&mut self, node: usize, until: Micros, class: Class, event: Event<DeliveryOf<F>>) {
        if let Event::Arrive { .. } = event {
            let node = &mut self.nodes[node];
            if node.waiting_count == node.socket_count {
                self.in_flight_count -= 1;
                return;
            }
            node.waiting_count += 1;
        }
        self.schedule(until, class, event);
    }

    pub(super) fn arrive(&mut self, index: usize, incarnation: u32, bytes: Vec<u8>) -> Verdict {
        self.in_flight_count -= 1;
        let now = self.now;
        let node = &mut self.nodes[index];
        node.waiting_count = 0;
        let local = node.local(now);
        let Some(endpoint) = node.endpoint.as_mut() else { return Ok(()) };
        self.oracle.on_heard(index, incarnation);
        let mut used = Vec::new();
        if let Some(decoder) = node.decoder.as_mut() {
            decoder.decode(&bytes, &mut |datagram| {
                used.push((datagram.to_vec(), endpoint.handle_datagram(local, datagram)));
            });
        } else {
            let was_used = endpoint.handle_datagram(local, &bytes);
            used.push((bytes, was_used));
        }
        for (datagram, was_used) in &used {
            self.trace.arrived(now, index, datagram, *was_used);
        }
        if used.iter().any(|(_, was_used)| *was_used) {
            let local = self.nodes[index].latest_local(now);
            self.oracle.on_used(index, local);
        }
        self.plan_take(index);
        self.service(index)
    }

    /// A slow reader looks for messages some time after something arrived.
    pub(super) fn plan_take(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if let Take::Slowly { period, .. } = node.reader.take
            && !node.take_pending
        {
            node.take_pending = true;
            let at = (self.now + period).max(node.paused_until);
            self.schedule(at, Class::Application, Event::Take { node: index });
        }
    }

    fn take_slowly(&mut self, index: usize) -> Verdict {
        self.nodes[index].take_pending = false;
        if self.now >= self.nodes[index].paused_until
            && let Take::Slowly { count, .. } = self.nodes[index].reader.take
        {
            let mut taken = 0;
            while taken < count && self.take_one(index)? {
                taken += 1;
            }
            if taken == count {
                self.plan_take(index);
            }
        }
        self.service(index)
    }

    fn take_one(&mut self, index: usize) -> Verdict<bool> {
        let now = self.now;
        let node = &mut self.nodes[index];
        let local = node.local(now);
        let Some(endpoint) = node.endpoint.as_mut() else { return Ok(false) };
        let Some(taken) = endpoint.recv(local, &mut self.payload) else { return Ok(false) };
        let payload = std::mem::take(&mut self.payload);
        let sender = self.nodes[index].peer;
        let sender_time = self.nodes[sender].latest_local(now);
        let verdict =
            self.oracle.on_taken(index, taken.channel, &payload, taken.redelivered, now, sender_time);
        self.payload = payload;
        if let Ok(key) = verdict {
            let flag = if taken.redelivered { " (redelivered)" } else { "" };
            self.note(index, format!("takes {key}{flag}"));
        }
        let key = self.judge(verdict)?;
        if self.oracle.settles_explicitly(index, taken.channel) {
            let node = &self.nodes[index];
            let work = (node.incarnation, taken.delivery, key);
            let at = now + node.reader.settle_after;
            self.schedule(at, Class::Application, Event::Settle { node: index, work });
        }
        Ok(true)
    }

    fn settle(&mut self, index: usize, work: (u32, DeliveryOf<F>, MessageKey)) -> Verdict {
        let (incarnation, delivery, key) = work;
        let now = self.now;
        let node = &mut self.nodes[index];
        if node.incarnation != incarnation {
            return Ok(());
        }
        let local = node.local(now);
        let Some(endpoint) = node.endpoint.as_mut() else {
            // The node sleeps and keeps its memory: its application goes on after that.
            node.kept_work.push(work);
            return Ok(());
        };
        let was_known = endpoint.settle(local, delivery);
        let sender_time = self.nodes[usize::from(key.node)].latest_local(now);
        self.note(index, format!("settles {key}{}", if was_known { "" } else { ": unknown" }));
        let verdict = self.oracle.on_settled(index, key, was_known, now, sender_time);
        self.judge(verdict)?;
        self.service(index)
    }

    fn wake(&mut self, index: usize) -> Verdict {
        let now = self.now;
        let node = &mut self.nodes[index];
        if node.path.busy_until(now).is_some() {
            return self.arm(index);
        }
        let local = node.local(now);
        node.last_wake = Some(now);
        node.spins += 1;
        if node.spins > ROUNDS_MAX && self.drive == Drive::Deadlines {
            let detail = format!("n{index} asked for the clock {ROUNDS_MAX} times in one instant");
            return Err(self.violation(Broken::new(Rule::NoSpin, detail)));
        }
        let Some(endpoint) = node.endpoint.as_mut() else { return Ok(()) };
        endpoint.handle_timeout(local);
        self.service(index)
    }

    /// What has to follow every call: take, look at notices, transmit, until nothing is left; then set the timer.
    pub(super) fn service(&mut self, index: usize) -> Verdict {
        for _ in 0..ROUNDS_MAX {
            let mut has_progressed = false;
            while self.nodes[index].takes_at_once(self.now) && self.take_one(index)? {
                has_progressed = true;
            }
            has_progressed |= self.notices(index)?;
            has_progressed |= self.transmit(index)?;
            if !has_progressed {
                return self.arm(index);
            }
        }
        let detail = format!("n{index} did not come to rest in {ROUNDS_MAX} rounds of one instant");
        Err(self.violation(Broken::new(Rule::NoSpin, detail)))
    }

    fn notices(&mut self, index: usize) -> Verdict<bool> {
        let mut has_progressed = false;
        while let Some(endpoint) = self.nodes[index].endpoint.as_mut()
            && let Some(notice) = endpoint.poll_event()
        {
            has_progressed = true;
            self.note(index, format!("hears {notice:?}"));
            let now = self.now;
            let local = self.nodes[index].latest_local(now);
            let verdict = self.oracle.on_notice(index, notice, now, local);
            self.judge(verdict)?;
            match notice {
                Notice::Writable(channel) => self.unblock(index, channel)?,
                Notice::Closed(Ending::Unreachable) if self.nodes[index].reopens => {
                    let reopening = Action::Reboot { node: index, down: 0, keeps_memory: false };
                    self.at(now, reopening);
                }
                _ => {}
            }
        }
        Ok(has_progressed)
    }

    fn unblock(&mut self, index: usize, channel: u8) -> Verdict {
        for source in 0..self.sources.len() {
            let traffic = &self.sources[source].traffic;
            if traffic.node == index && traffic.channel == channel && self.sources[source].is_blocked {
                self.sources[source].is_blocked = false;
                self.offer_from(source)?;
            }
        }
        Ok(())
    }

    pub(super) fn schedule_offer(&mut self, source: usize) {
        if let Some(at) = self.sources[source].next_at()
            && !self.sources[source].has_event
        {
            self.sources[source].has_event = true;
            self.schedule(at.max(self.now), Class::Application, Event::Offer { source });
        }
    }

    /// Sends what the source has to offer by now, until it is refused.
    pub(super) fn offer_from(&mut self, source: usize) -> Verdict {
        let now = self.now;
        let traffic = self.sources[source].traffic;
        while let Some(offered_at) = self.sources[source].next_at()
            && offered_at <= now
        {
            let len = self.sources[source].len().max(PAYLOAD_LEN_MIN);
            let key = self.oracle.next_key(traffic.node, traffic.channel);
            let node = &mut self.nodes[traffic.node];
            let local = node.local(now);
            // A deadline counts from the latest time the node has seen: see `latest_local`.
            let deadline = traffic.deadline.map(|within| node.latest_local(now) + within);
            let Some(endpoint) = node.endpoint.as_mut() else { return Ok(()) };
            match endpoint.send(local, traffic.channel, &key.payload(len), deadline) {
                Ok(id) => {
                    self.note(traffic.node, format!("sends {key}, {len} B, {id:?}"));
                    let verdict = self.oracle.on_sent(key, id, len, offered_at, now, deadline);
                    self.judge(verdict)?;
                    self.sources[source].advance();
                }
                Err(Refusal::Full) => {
                    self.sources[source].is_blocked = true;
                    return Ok(());
                }
                Err(Refusal::TooLarge | Refusal::NoSuchChannel) => self.sources[source].advance(),
                Err(Refusal::Closed) => {
                    self.sources[source].end();
                    return Ok(());
                }
            }
        }
        self.schedule_offer(source);
        Ok(())
    }

    fn transmit(&mut self, index: usize) -> Verdict<bool> {
        let now = self.now;
        let mut count = 0;
        while self.nodes[index].path.busy_until(now).is_none() {
            let node = &mut self.nodes[index];
            let local = node.local(now);
            let Some(endpoint) = node.endpoint.as_mut() else { break };
            let Some(len) = endpoint.poll_transmit(local, &mut self.buffer) else { break };
            count += 1;
            if count > BURST_MAX {
                let detail = format!("n{index} emitted {BURST_MAX} datagrams in one instant");
                return Err(self.violation(Broken::new(Rule::NoSpin, detail)));
            }
            let datagram = &self.buffer[..len];
            self.trace.emitted(now, index, datagram);
            self.emissions.push(Emission { at: now, node: index, len, hash: hash_of(datagram) });
            if let Some(datagrams) = self.datagrams.as_mut() {
                datagrams.push(datagram.to_vec());
            }
            self.last_emission = now;
            let peer = node.peer;
            let incarnation = self.oracle.incarnation(index);
            let mut arrivals = Vec::new();
            node.path.transmit(now, datagram, &mut |arrival| arrivals.push(arrival));
            for Arrival { at, bytes } in arrivals {
                self.in_flight_count += 1;
                self.schedule(at, Class::Arrival, Event::Arrive { node: peer, incarnation, bytes });
            }
        }
        Ok(count > 0)
    }

    /// Sets the timer of a node to what its endpoint asks for now.
    pub(super) fn arm(&mut self, index: usize) -> Verdict {
        let now = self.now;
        let node = &mut self.nodes[index];
        node.wake_generation += 1;
        let Some(endpoint) = node.endpoint.as_ref() else { return Ok(()) };
        let Some(local) = endpoint.poll_timeout() else {
            // A busy line may hold back a datagram that no timer stands for.
            if let Some(free) = node.path.busy_until(now) {
                self.schedule_wake(index, free);
            }
            return Ok(());
        };
        let mut at = node.world_time(local).max(now);
        if let Some(free) = node.path.busy_until(now) {
            // What the line holds back may be due before the endpoint's own timer.
            at = free;
        }
        if at != Micros::MAX {
            self.schedule_wake(index, at);
        }
        Ok(())
    }

    pub(super) fn schedule_wake(&mut self, index: usize, at: Micros) {
        let last = self.nodes[index].last_wake;
        let at = match self.drive {
            Drive::Deadlines | Drive::DeadlinesAndTicks(_) => at,
            Drive::CoarseDeadlines(grid) => {
                let at = at.div_ceil(grid) * grid;
                if last.is_some_and(|last| at <= last) { at + grid } else { at }
            }
            Drive::Ticks(_) => return,
        };
        let generation = self.nodes[index].wake_generation;
        self.schedule(at, Class::Timer, Event::Wake { node: index, generation });
    }
}
