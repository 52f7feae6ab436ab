//! Who goes next: one lane per host, so that a partner that hangs holds up its own postbacks and nobody
//! else's. Pure.
//!
//! Deliveries are leased oldest first, whoever they are for. What is for a busy host waits in its lane, but
//! only as much as the host can be expected to take within a second; the rest goes back to the store with a
//! later due time, spread so that it comes back at about the pace of the host. So a hundred thousand
//! deliveries for one hanging host neither fill the memory nor stand in front of the others.

use std::collections::{HashMap, VecDeque};

use measure::{Timestamp, time::SECOND_MS};

/// How long an attempt is taken to last before one has ended, milliseconds.
const ATTEMPT_GUESS_MS: i64 = 100;
/// The most that waits for one host.
const WAITING_MAX: i64 = 512;
/// The longest that a delivery is put off because its host is busy, milliseconds.
const PUT_OFF_MAX_MS: i64 = 60 * SECOND_MS;
/// The shortest, milliseconds.
const PUT_OFF_MIN_MS: i64 = SECOND_MS;

/// A lane: what goes to one host and port.
#[derive(Debug)]
struct Lane<T> {
    /// When each attempt under way began, oldest first.
    running: VecDeque<Timestamp>,
    waiting: VecDeque<T>,
    /// How long attempts have lasted lately, milliseconds.
    average_ms: i64,
    /// When the next delivery that finds no room is due again, microseconds.
    put_off_us: i64,
}

/// What became of a delivery that was brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Place<T> {
    /// It waits for its turn.
    Waits,
    /// The host is busy: it goes back, due then.
    PutOff(T, Timestamp),
}

/// All lanes.
#[derive(Debug)]
pub struct Lanes<T> {
    lanes: HashMap<String, Lane<T>>,
    /// Hosts with something waiting, in turn.
    turns: VecDeque<String>,
    running: usize,
    waiting: usize,
    concurrency: usize,
    host_concurrency: usize,
}

impl<T> Lanes<T> {
    /// Lanes with at most `concurrency` attempts under way, `host_concurrency` of them to one host.
    pub fn new(concurrency: usize, host_concurrency: usize) -> Self {
        Self {
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            running: 0,
            waiting: 0,
            concurrency: concurrency.max(1),
            host_concurrency: host_concurrency.max(1),
        }
    }

    /// How many deliveries wait for their turn.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Takes in a delivery for `host`.
    pub fn bring(&mut self, host: &str, item: T, now: Timestamp) -> Place<T> {
        let width = self.width();
        let lane = self.lanes.entry(host.to_owned()).or_insert_with(|| Lane {
            running: VecDeque::new(),
            waiting: VecDeque::new(),
            average_ms: ATTEMPT_GUESS_MS,
            put_off_us: 0,
        });
        if lane.has_room(width, now) {
            if lane.waiting.is_empty() {
                self.turns.push_back(host.to_owned());
            }
            lane.waiting.push_back(item);
            self.waiting += 1;
            return Place::Waits;
        }
        Place::PutOff(item, lane.put_off(width, now))
    }

    /// The next delivery to send, and its host; it counts as under way from now on.
    pub fn start(&mut self, now: Timestamp) -> Option<(String, T)> {
        if self.running >= self.concurrency {
            return None;
        }
        for _ in 0..self.turns.len() {
            let host = self.turns.pop_front()?;
            let Some(lane) = self.lanes.get_mut(&host) else { continue };
            if lane.running.len() >= self.host_concurrency {
                self.turns.push_back(host);
                continue;
            }
            let Some(item) = lane.waiting.pop_front() else { continue };
            lane.running.push_back(now);
            self.running += 1;
            self.waiting = self.waiting.saturating_sub(1);
            if !lane.waiting.is_empty() {
                self.turns.push_back(host.clone());
            }
            return Some((host, item));
        }
        None
    }

    /// An attempt to `host` that began at `started` has ended after `elapsed_ms`.
    pub fn end(&mut self, host: &str, started: Timestamp, elapsed_ms: u32) {
        let Some(lane) = self.lanes.get_mut(host) else { return };
        if let Some(place) = lane.running.iter().position(|began| *began == started) {
            lane.running.remove(place);
            self.running = self.running.saturating_sub(1);
        }
        lane.average_ms = (lane.average_ms * 7 + i64::from(elapsed_ms)) / 8;
    }

    /// Takes out what hosts that have become slow can no longer be expected to take soon, with the time it is
    /// put off to. Lanes that are empty and owe nothing are forgotten.
    pub fn trim(&mut self, now: Timestamp) -> Vec<(T, Timestamp)> {
        let width = self.width();
        let mut out = Vec::new();
        for lane in self.lanes.values_mut() {
            while lane.is_overfull(width, now) {
                let Some(item) = lane.waiting.pop_back() else { break };
                out.push((item, lane.put_off(width, now)));
            }
        }
        self.waiting = self.waiting.saturating_sub(out.len());
        self.lanes.retain(|_, lane| {
            let idle = lane.running.is_empty() && lane.waiting.is_empty();
            !idle || lane.put_off_us > now.millis().saturating_mul(1_000)
        });
        out
    }

    fn width(&self) -> i64 {
        i64::try_from(self.host_concurrency).unwrap_or(i64::MAX)
    }

    /// Takes out everything that waits.
    pub fn clear_waiting(&mut self) -> Vec<T> {
        self.turns.clear();
        self.waiting = 0;
        self.lanes.values_mut().flat_map(|lane| std::mem::take(&mut lane.waiting)).collect()
    }
}

impl<T> Lane<T> {
    /// How long an attempt lasts: as lately, or longer when one has been under way for longer.
    fn attempt_ms(&self, now: Timestamp) -> i64 {
        let oldest = self.running.front().map_or(0, |began| now.since(*began));
        self.average_ms.max(oldest).max(1)
    }

    /// How many may wait: what is done within a second.
    fn room(&self, width: i64, now: Timestamp) -> i64 {
        (width.saturating_mul(SECOND_MS) / self.attempt_ms(now)).clamp(1, WAITING_MAX)
    }

    fn has_room(&self, width: i64, now: Timestamp) -> bool {
        i64::try_from(self.waiting.len()).unwrap_or(i64::MAX) < self.room(width, now)
    }

    fn is_overfull(&self, width: i64, now: Timestamp) -> bool {
        i64::try_from(self.waiting.len()).unwrap_or(i64::MAX) > self.room(width, now)
    }

    /// When the next delivery without room comes back: one attempt's share of time after the one before.
    fn put_off(&mut self, width: i64, now: Timestamp) -> Timestamp {
        let now_us = now.millis().saturating_mul(1_000);
        let share_us = self.attempt_ms(now).saturating_mul(1_000) / width.max(1);
        let first = now_us.saturating_add(PUT_OFF_MIN_MS * 1_000);
        let last = now_us.saturating_add(PUT_OFF_MAX_MS * 1_000);
        self.put_off_us = self.put_off_us.saturating_add(share_us).clamp(first, last);
        Timestamp(self.put_off_us / 1_000)
    }
}
