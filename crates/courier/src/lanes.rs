//! Who goes next: one lane per target (host and port), so that a partner that hangs holds up its own
//! postbacks and nobody else's. Pure.
//!
//! A lane says how much it can take: as many as it is expected to finish within a second, none while its
//! breaker is open, no more than its rate. What is not wanted stays in the store, where it costs nothing, so a
//! hundred thousand deliveries for one hanging partner neither fill the memory nor stand in front of others.

use std::collections::{BTreeSet, HashMap, VecDeque};

use measure::{Timestamp, TriggerId, time::SECOND_MS};

use crate::breaker::{Breaker, BreakerOptions, BreakerState};

/// How long an attempt is taken to last before one has ended, milliseconds.
const ATTEMPT_GUESS_MS: i64 = 100;
/// The most that waits for one target.
const WAITING_MAX: i64 = 512;
/// After so many first attempts in a row a retry has its turn.
const FIRST_IN_A_ROW: u32 = 3;
/// The last places, one in so many of all, are for targets that nothing is under way to: however many hang, others
/// get through.
const RESERVED_SHARE: usize = 8;
/// How much a target that was idle may be sent at once, in parts of a second of its rate.
const BURST_MS: i64 = 250;

/// A version of a trigger: all of it goes to one target.
pub type Line = (TriggerId, u32);

/// What holds for every lane.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Attempts under way in all.
    pub concurrency: usize,
    /// Attempts under way to one target.
    pub host_concurrency: usize,
    /// Attempts a second to one target; 0 is no limit.
    pub host_rate: u32,
    /// When a target is left alone.
    pub breaker: BreakerOptions,
}

/// A lane: what goes to one target.
#[derive(Debug)]
struct Lane<T> {
    /// When each attempt under way began, oldest first.
    running: VecDeque<Timestamp>,
    first: VecDeque<T>,
    retries: VecDeque<T>,
    /// First attempts since the last retry.
    in_a_row: u32,
    /// How long attempts have lasted lately, milliseconds.
    average_ms: i64,
    /// When the next attempt would be due if all came at the pace of the rate, microseconds.
    pace_us: i64,
    breaker: Breaker,
    /// What goes here.
    lines: BTreeSet<Line>,
}

/// All lanes.
#[derive(Debug)]
pub struct Lanes<T> {
    lanes: HashMap<String, Lane<T>>,
    /// The target that each line last sent to.
    targets: HashMap<Line, String>,
    /// Targets with something waiting, in turn.
    turns: VecDeque<String>,
    running: usize,
    waiting: usize,
    limits: Limits,
}

impl<T> Lanes<T> {
    /// No lanes yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            lanes: HashMap::new(),
            targets: HashMap::new(),
            turns: VecDeque::new(),
            running: 0,
            waiting: 0,
            limits,
        }
    }

    /// How many deliveries wait for their turn.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Takes in a delivery of `line` for `host`: a first attempt, or a retry.
    pub fn bring(&mut self, host: &str, line: Line, retry: bool, item: T) {
        if self.targets.get(&line).is_none_or(|known| known != host) {
            let before = self.targets.insert(line, host.to_owned());
            if let Some(before) = before.and_then(|before| self.lanes.get_mut(&before)) {
                before.lines.remove(&line);
            }
        }
        if !self.lanes.contains_key(host) {
            self.lanes.insert(host.to_owned(), Lane::new(self.limits.breaker));
        }
        let Some(lane) = self.lanes.get_mut(host) else { return };
        lane.lines.insert(line);
        if lane.waiting() == 0 {
            self.turns.push_back(host.to_owned());
        }
        if retry {
            lane.retries.push_back(item)
        } else {
            lane.first.push_back(item)
        }
        self.waiting += 1;
    }

    /// How many attempts are under way.
    pub fn running(&self) -> usize {
        self.running
    }

    /// How much more of each line there is room for; lines that are not named have nothing under way.
    pub fn room(&self, now: Timestamp) -> HashMap<Line, usize> {
        let mut room = HashMap::new();
        for lane in self.lanes.values() {
            let left = lane.room(&self.limits, now).saturating_sub(lane.waiting());
            let each = left.div_ceil(lane.lines.len().max(1));
            for line in &lane.lines {
                let least = room.entry(*line).or_insert(each);
                *least = each.min(*least);
            }
        }
        room
    }

    /// The next delivery to send, and its target; it counts as under way from now on.
    pub fn start(&mut self, now: Timestamp) -> Option<(String, T)> {
        if self.running >= self.limits.concurrency.max(1) {
            return None;
        }
        let left = self.limits.concurrency.saturating_sub(self.running);
        let reserved = left <= self.limits.concurrency / RESERVED_SHARE;
        for _ in 0..self.turns.len() {
            let host = self.turns.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&host) else { continue };
            if !lane.may_start(&self.limits, now) || (reserved && !lane.running.is_empty()) {
                self.turns.push_back(host);
                continue;
            }
            let Some(item) = lane.next() else { continue };
            lane.start(&self.limits, now);
            self.running += 1;
            self.waiting = self.waiting.saturating_sub(1);
            if lane.waiting() > 0 {
                self.turns.push_back(host.clone());
            }
            return Some((host, item));
        }
        None
    }

    /// An attempt to `host` that began at `started` has ended at `now` after `elapsed_ms`. The answer is what
    /// the breaker does now.
    pub fn end(
        &mut self,
        host: &str,
        started: Timestamp,
        elapsed_ms: u32,
        failed: bool,
        now: Timestamp,
    ) -> BreakerState {
        let Some(lane) = self.lanes.get_mut(host) else { return BreakerState::Closed };
        self.running = self.running.saturating_sub(lane.leave(started));
        lane.average_ms = (lane.average_ms * 7 + i64::from(elapsed_ms)) / 8;
        lane.breaker.end(failed, now);
        lane.breaker.state()
    }

    /// An attempt that was counted as under way was not made.
    pub fn unsent(&mut self, host: &str, started: Timestamp, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(host) else { return };
        self.running = self.running.saturating_sub(lane.leave(started));
        lane.breaker.unsent(now);
    }

    /// Takes out what targets that have become slow, or are left alone, can no longer be expected to take
    /// soon. Lanes that are empty and have nothing to remember are forgotten.
    pub fn trim(&mut self, now: Timestamp) -> Vec<T> {
        let limits = self.limits;
        let mut out = Vec::new();
        for lane in self.lanes.values_mut() {
            let room = lane.room(&limits, now);
            while lane.waiting() > room {
                let Some(item) = lane.retries.pop_back().or_else(|| lane.first.pop_back()) else { break };
                out.push(item);
            }
        }
        self.waiting = self.waiting.saturating_sub(out.len());
        self.lanes.retain(|_, lane| !lane.is_idle(now));
        out
    }

    /// When a target that is held up by its rate or its breaker may be sent to again.
    pub fn next_start(&self, now: Timestamp) -> Option<Timestamp> {
        let rate = i64::from(self.limits.host_rate);
        let held_up = self.lanes.values().filter_map(|lane| match lane.breaker.state() {
            BreakerState::Open(until) => Some(until),
            BreakerState::Closed if rate > 0 && lane.waiting() > 0 => Some(lane.paced()),
            BreakerState::Closed | BreakerState::HalfOpen => None,
        });
        held_up.filter(|at| *at > now).min()
    }

    /// Takes out everything that waits.
    pub fn clear_waiting(&mut self) -> Vec<T> {
        self.turns.clear();
        self.waiting = 0;
        let all = self.lanes.values_mut();
        all.flat_map(|lane| {
            let first = std::mem::take(&mut lane.first);
            first.into_iter().chain(std::mem::take(&mut lane.retries))
        })
        .collect()
    }
}

impl<T> Lane<T> {
    fn new(breaker: BreakerOptions) -> Self {
        Self {
            running: VecDeque::new(),
            first: VecDeque::new(),
            retries: VecDeque::new(),
            in_a_row: 0,
            average_ms: ATTEMPT_GUESS_MS,
            pace_us: i64::MIN,
            breaker: Breaker::new(breaker),
            lines: BTreeSet::new(),
        }
    }

    fn waiting(&self) -> usize {
        self.first.len() + self.retries.len()
    }

    /// How long an attempt lasts: as lately, or longer when one has been under way for longer.
    fn attempt_ms(&self, now: Timestamp) -> i64 {
        let oldest = self.running.front().map_or(0, |began| now.since(*began));
        self.average_ms.max(oldest).max(1)
    }

    /// How many may wait: what is done within a second.
    fn room(&self, limits: &Limits, now: Timestamp) -> usize {
        let width = i64::try_from(limits.host_concurrency).unwrap_or(i64::MAX);
        let mut room = (width.saturating_mul(SECOND_MS) / self.attempt_ms(now)).clamp(1, WAITING_MAX);
        if limits.host_rate > 0 {
            room = room.min(i64::from(limits.host_rate));
        }
        let room = usize::try_from(room).unwrap_or_default();
        self.breaker.allows(now).map_or(room, |allowed| allowed.min(room))
    }

    fn may_start(&self, limits: &Limits, now: Timestamp) -> bool {
        self.running.len() < limits.host_concurrency.max(1)
            && self.breaker.allows(now) != Some(0)
            && (limits.host_rate == 0 || self.paced() <= now)
    }

    /// When the pace lets the next attempt go.
    fn paced(&self) -> Timestamp {
        Timestamp(self.pace_us.saturating_sub(BURST_MS * 1_000).div_euclid(1_000).saturating_add(1))
    }

    fn next(&mut self) -> Option<T> {
        let retry_now = self.in_a_row >= FIRST_IN_A_ROW || self.first.is_empty();
        if retry_now && let Some(item) = self.retries.pop_front() {
            self.in_a_row = 0;
            return Some(item);
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.first.pop_front()
    }

    fn start(&mut self, limits: &Limits, now: Timestamp) {
        self.running.push_back(now);
        self.breaker.start();
        if limits.host_rate > 0 {
            let share_us = 1_000_000 / i64::from(limits.host_rate);
            self.pace_us = self.pace_us.max(now.millis().saturating_mul(1_000)).saturating_add(share_us);
        }
    }

    fn leave(&mut self, started: Timestamp) -> usize {
        let place = self.running.iter().position(|began| *began == started);
        place.and_then(|place| self.running.remove(place)).map_or(0, |_| 1)
    }

    fn is_idle(&self, now: Timestamp) -> bool {
        let calm = self.breaker.is_calm() && self.pace_us <= now.millis().saturating_mul(1_000);
        self.running.is_empty() && self.waiting() == 0 && (calm || self.lines.is_empty())
    }
}
