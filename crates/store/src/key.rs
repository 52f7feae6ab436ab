//! The keys under which records lie.
//!
//! Keys are built of parts whose length is fixed or told by a tag before them, so no key is a prefix of
//! another one of its keyspace and a range over a prefix holds nothing foreign. Numbers are big-endian, so
//! that the order of keys is the order of what they name. Texts of the outside world, which have no
//! limit, are hashed to 16 bytes of SHA-256; the record then holds the text where it is needed.

use std::net::IpAddr;

use measure::{
    AppId, DeliveryId, DeviceId, InputId, InstallId, JobId, KeyId, NetworkId, Timestamp, TouchId, TriggerId,
    cost::Day,
    engagement::MatchKey,
    identifier::{Digest, DigestLength, JoinKey},
    input::IdempotencyKey,
    ledger::{Counter, Share},
    platform::Os,
    postback::DeliveryState,
    privacy::Tombstone,
    skad::{AggregateCell, AggregateKey},
};
use sha2::Digest as _;
use uuid::Uuid;

use crate::outbox::{Queue, Spot};

/// The layout of the data directory.
pub(crate) const FORMAT: &[u8] = b"format";
/// What is written to have the journal changed.
pub(crate) const PADDING: &[u8] = b"padding";
/// The newest time committed.
pub(crate) const HORIZON: &[u8] = b"horizon";
/// Set once every final delivery has its place under its trigger and state.
pub(crate) const SETTLED: &[u8] = b"settled";

/// A key or the beginning of some.
pub(crate) type Key = Vec<u8>;

/// What is made room for: most keys are not longer, so they do not grow while they are put together.
const ROOM: usize = 48;

/// How far the time reaches into the end of a key of [`touch`] or [`arrival`]: time, tie, then identifier.
const TAIL: usize = 8 + 8 + 16;

/// Facts and changes.
pub(crate) fn number(number: u64) -> Key {
    let mut key = Key::with_capacity(ROOM);
    key.extend(number.to_be_bytes());
    key
}

/// Reads [`number`] back.
pub(crate) fn to_number(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}

/// What an input is remembered by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of {
    /// Its fact.
    Fact,
    /// The fact that released it.
    Release,
}

/// The sequence number of a fact of an input.
pub(crate) fn input(input: InputId, of: Of) -> Key {
    let tag = match of {
        Of::Fact => 0,
        Of::Release => 1,
    };
    [input.0.as_bytes().as_slice(), &[tag]].concat()
}

/// Everything of an app.
pub(crate) fn app(app: AppId) -> Key {
    let mut key = Key::with_capacity(ROOM);
    key.extend(app.0.to_be_bytes());
    key
}

/// A device.
pub(crate) fn device(of: AppId, device: DeviceId) -> Key {
    with_id(app(of), device.0)
}

/// An install.
pub(crate) fn install(of: AppId, install: InstallId) -> Key {
    with_id(app(of), install.0)
}

/// A decision, after [`install`].
pub(crate) fn decision(of: AppId, of_install: InstallId, revision: u32) -> Key {
    with(install(of, of_install), &revision.to_be_bytes())
}

/// A fact that tells of an install, after [`install`].
pub(crate) fn timeline(of: AppId, of_install: InstallId, sequence: u64) -> Key {
    with(install(of, of_install), &sequence.to_be_bytes())
}

/// A fact that is an aggregate postback of an app.
pub(crate) fn aggregate(of: AppId, sequence: u64) -> Key {
    with(app(of), &sequence.to_be_bytes())
}

/// An aggregate postback as it is counted.
pub(crate) fn counted(of: AppId, key: AggregateKey) -> Key {
    with(app(of), &key.0)
}

/// The sequence number at the end of [`timeline`] and [`aggregate`].
pub(crate) fn to_sequence(key: &[u8]) -> Option<u64> {
    to_number(key.get(key.len().checked_sub(8)?..)?)
}

/// What a join key leads to, and the beginning of what waits under it.
pub(crate) fn join(of: AppId, join: &JoinKey) -> Key {
    let key = app(of);
    match join {
        JoinKey::KochavaDeviceId(fingerprint) => with(tagged(key, 0), &fingerprint.0),
        JoinKey::Identifier(fingerprint) => with(tagged(key, 1), &fingerprint.0),
        JoinKey::Digest(digest) => digested(key, digest),
    }
}

/// A waiting input, after [`join`].
pub(crate) fn held(of: AppId, under: &JoinKey, input: InputId) -> Key {
    with_id(join(of, under), input.0)
}

/// The beginning of what is found by a match key.
pub(crate) fn matched(of: AppId, key: &MatchKey) -> Key {
    let to = app(of);
    match key {
        MatchKey::Identifier(fingerprint) => with(tagged(to, 1), &fingerprint.0),
        MatchKey::Digest(digest) => digested(to, digest),
        MatchKey::Click(touch) => with_id(tagged(to, 5), touch.0),
        MatchKey::Address(ip) => match ip.0 {
            IpAddr::V4(v4) => with(tagged(to, 8), &v4.octets()),
            IpAddr::V6(v6) => with(tagged(to, 9), &v6.octets()),
        },
        MatchKey::Range(octets) => with(tagged(to, 10), octets),
        MatchKey::Modeled(ip, os) => {
            let to = match ip.0 {
                IpAddr::V4(v4) => with(tagged(to, 6), &v4.octets()),
                IpAddr::V6(v6) => with(tagged(to, 7), &v6.octets()),
            };
            match os {
                Os::Ios => tagged(to, 0),
                Os::TvOs => tagged(to, 1),
                Os::Android => tagged(to, 2),
                Os::FireOs => tagged(to, 3),
                Os::Other(name) => with(tagged(to, 4), &hash(&[name.as_bytes()])),
            }
        }
    }
}

/// A touch, after [`matched`]: newest first, ties by descending content key, then identifier. A cut by
/// content is the same whatever the order of arrival (DECISIONS 5, 22).
pub(crate) fn touch(of: AppId, under: &MatchKey, time: Timestamp, content: u64, touch: TouchId) -> Key {
    newest_first(matched(of, under), time, content, touch.0)
}

/// An arrival, after [`matched`]: newest first, ties by descending identifier.
pub(crate) fn arrival(of: AppId, under: &MatchKey, installed: Timestamp, install: InstallId) -> Key {
    newest_first(matched(of, under), installed, 0, install.0)
}

/// The first and last possible keys of touches or arrivals under a match key from `newest` back to
/// `oldest`, both included.
pub(crate) fn span(of: AppId, under: &MatchKey, newest: Timestamp, oldest: Timestamp) -> (Key, Key) {
    let prefix = matched(of, under);
    (
        newest_first(prefix.clone(), newest, u64::MAX, Uuid::max()),
        newest_first(prefix, oldest, 0, Uuid::nil()),
    )
}

/// The time in a key of [`touch`] or [`arrival`].
pub(crate) fn to_time(key: &[u8]) -> Option<Timestamp> {
    let tail = key.get(key.len().checked_sub(TAIL)?..)?;
    let time: [u8; 8] = tail.get(..8)?.try_into().ok()?;
    Some(to_timestamp(!u64::from_be_bytes(time)))
}

/// An idempotency key.
pub(crate) fn seen(of: AppId, key: &IdempotencyKey) -> Key {
    with(app(of), &hash(&[key.source.as_bytes(), key.key.as_bytes()]))
}

/// The beginning of the modeled wins of a touch.
pub(crate) fn credits(of: AppId, touch: TouchId) -> Key {
    with_id(app(of), touch.0)
}

/// A modeled win, after [`credits`].
pub(crate) fn credit(of: AppId, touch: TouchId, install: InstallId) -> Key {
    with_id(credits(of, touch), install.0)
}

/// A delivery.
pub(crate) fn delivery(delivery: DeliveryId) -> Key {
    delivery.0.as_bytes().to_vec()
}

/// Reads back the identifier at the end of [`delivery`], [`pending`], [`settled`] and [`install_delivery`].
pub(crate) fn to_delivery(key: &[u8]) -> Option<DeliveryId> {
    let id = key.get(key.len().checked_sub(16)?..)?;
    Some(DeliveryId(Uuid::from_bytes(id.try_into().ok()?)))
}

/// The beginning of the places of a queue.
pub(crate) fn queue(of: Queue) -> Key {
    tagged(with(number(of.trigger.0), &of.version.to_be_bytes()), u8::from(of.retry))
}

/// A place in a queue, after [`queue`].
pub(crate) fn place(of: Queue, (at, delivery): Spot) -> Key {
    with_id(with(queue(of), &ascending(at)), delivery.0)
}

/// Reads [`place`] back.
pub(crate) fn to_place(key: &[u8]) -> Option<(Queue, Spot)> {
    let (trigger, rest) = key.split_first_chunk::<8>()?;
    let (version, rest) = rest.split_first_chunk::<4>()?;
    let (retry, rest) = rest.split_first()?;
    let (at, id) = rest.split_first_chunk::<8>()?;
    let queue = Queue {
        trigger: TriggerId(u64::from_be_bytes(*trigger)),
        version: u32::from_be_bytes(*version),
        retry: *retry != 0,
    };
    let id = DeliveryId(Uuid::from_bytes(id.try_into().ok()?));
    Some((queue, (to_timestamp(u64::from_be_bytes(*at)), id)))
}

/// The beginning of the pending deliveries of a trigger.
pub(crate) fn pending_of(trigger: TriggerId) -> Key {
    number(trigger.0)
}

/// A pending delivery, after [`pending_of`].
pub(crate) fn pending(of: TriggerId, delivery: DeliveryId) -> Key {
    with_id(pending_of(of), delivery.0)
}

/// The beginning of the final deliveries of a trigger.
pub(crate) fn settled_of(trigger: TriggerId) -> Key {
    number(trigger.0)
}

/// The beginning of the deliveries of a trigger that ended in one state, after [`settled_of`].
pub(crate) fn settled_in(trigger: TriggerId, state: DeliveryState) -> Key {
    let tag = match state {
        DeliveryState::Pending => 0,
        DeliveryState::Delivered => 1,
        DeliveryState::Dead => 2,
        DeliveryState::Suppressed => 3,
    };
    tagged(settled_of(trigger), tag)
}

/// A final delivery, after [`settled_in`].
pub(crate) fn settled(trigger: TriggerId, state: DeliveryState, delivery: DeliveryId) -> Key {
    with_id(settled_in(trigger, state), delivery.0)
}

/// The trigger in [`pending`] and [`settled`].
pub(crate) fn to_trigger(key: &[u8]) -> Option<TriggerId> {
    Some(TriggerId(to_number(key.get(..8)?)?))
}

/// The beginning of the deliveries of an install.
pub(crate) fn install_deliveries(install: InstallId) -> Key {
    install.0.as_bytes().to_vec()
}

/// A delivery of an install, after [`install_deliveries`].
pub(crate) fn install_delivery(install: InstallId, delivery: DeliveryId) -> Key {
    with_id(install_deliveries(install), delivery.0)
}

/// The beginning of what is quarantined of an app; unknown apps come before all others.
pub(crate) fn shelf(of: Option<AppId>) -> Key {
    match of {
        None => vec![0],
        Some(of) => with(vec![1], &app(of)),
    }
}

/// A quarantined body, after [`shelf`].
pub(crate) fn quarantined(of: Option<AppId>, input: InputId) -> Key {
    with_id(shelf(of), input.0)
}

/// An event name.
pub(crate) fn event_name(of: AppId, name: &str) -> Key {
    with(app(of), &hash(&[name.as_bytes()]))
}

/// A length of digests.
pub(crate) fn digest_length(of: AppId, length: DigestLength) -> Key {
    tagged(app(of), length_tag(length))
}

/// A counter.
pub(crate) fn counter(of: Option<AppId>, counter: &Counter) -> Key {
    let (tag, label) = match counter {
        Counter::Accepted(kind) => (0, kind.as_str()),
        Counter::Quarantined => (1, ""),
        Counter::Due => (2, ""),
        Counter::Created => (3, ""),
        Counter::Delivered => (4, ""),
        Counter::Dead => (5, ""),
        Counter::Suppressed(reason) => (6, reason.as_str()),
        Counter::Withdrawn => (7, ""),
        Counter::Installs(class) => (8, class.as_str()),
        Counter::EventsLinked => (9, ""),
        Counter::Aggregates(cell) => return with(tagged(shelf(of), 10), &aggregate_cell(cell)),
        Counter::AggregatesRepeated => (11, ""),
        Counter::Duplicates(kind) => (12, kind.as_str()),
        Counter::OfTrigger(trigger, share) => {
            return with(with(tagged(shelf(of), 13), &trigger.0.to_be_bytes()), &share_label(share));
        }
        Counter::TriggersCountedSince => (14, ""),
    };
    with(tagged(shelf(of), tag), &hash(&[label.as_bytes()]))
}

fn share_label(share: &Share) -> [u8; 16] {
    let (tag, reason) = match share {
        Share::Due => ("due", ""),
        Share::Created => ("created", ""),
        Share::Delivered => ("delivered", ""),
        Share::Dead => ("dead", ""),
        Share::Suppressed(reason) => ("suppressed", reason.as_str()),
        Share::Withdrawn => ("withdrawn", ""),
    };
    hash(&[tag.as_bytes(), reason.as_bytes()])
}

fn aggregate_cell(cell: &AggregateCell) -> [u8; 16] {
    let AggregateCell { framework, signed, network, source, window, won } = cell;
    let parts = [framework.name(), signed.name(), network, source].map(str::as_bytes);
    hash(&[&parts[..], &[&[*window, u8::from(*won)]]].concat())
}

/// When a management key was last used.
pub(crate) fn key_use(of: KeyId) -> Key {
    number(of.0)
}

/// What an upload says about costs.
pub(crate) fn cost(of: AppId, day: Day, network: NetworkId) -> Key {
    with(cost_day(of, day), &network.0.to_be_bytes())
}

/// The beginning of the costs of a day.
pub(crate) fn cost_day(of: AppId, day: Day) -> Key {
    with(app(of), &ascending(Timestamp(day)))
}

/// A privacy request.
pub(crate) fn job(job: JobId) -> Key {
    job.0.as_bytes().to_vec()
}

/// Somebody who is to be refused.
pub(crate) fn tombstone(tombstone: &Tombstone) -> Key {
    with(shelf(tombstone.app), &tombstone.hash)
}

/// The least key that is greater than every key beginning with `prefix`; `None` when there is none.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Key> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut key = prefix.get(..=last)?.to_vec();
    *key.last_mut()? += 1;
    Some(key)
}

fn with(mut key: Key, part: &[u8]) -> Key {
    key.extend_from_slice(part);
    key
}

fn with_id(key: Key, id: Uuid) -> Key {
    with(key, id.as_bytes())
}

fn tagged(key: Key, tag: u8) -> Key {
    with(key, &[tag])
}

/// The tags of the three lengths of digests are those that join keys and match keys leave free.
fn digested(key: Key, digest: &Digest) -> Key {
    let key = tagged(key, length_tag(digest.length()));
    let (pairs, _) = digest.as_str().as_bytes().as_chunks::<2>();
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| nibble(*high) << 4 | nibble(*low)).collect();
    with(key, &bytes)
}

fn length_tag(length: DigestLength) -> u8 {
    match length {
        DigestLength::Md5 => 2,
        DigestLength::Sha1 => 3,
        DigestLength::Sha256 => 4,
    }
}

/// The value of a lower-case hexadecimal digit; digests hold no others.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.wrapping_sub(b'a').wrapping_add(10) & 15,
    }
}

fn newest_first(key: Key, time: Timestamp, tie: u64, id: Uuid) -> Key {
    let time = (!u64::from_be_bytes(ascending(time))).to_be_bytes();
    with(with(with(key, &time), &(!tie).to_be_bytes()), &(!id.as_u128()).to_be_bytes())
}

/// With the sign bit flipped, the bytes of a time sort as the time does.
fn ascending(time: Timestamp) -> [u8; 8] {
    (time.0.cast_unsigned() ^ 1 << 63).to_be_bytes()
}

fn to_timestamp(ascending: u64) -> Timestamp {
    Timestamp((ascending ^ 1 << 63).cast_signed())
}

/// Each part with its length before it, so that no two lists of parts are hashed alike by accident.
fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = sha2::Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut short = [0; 16];
    for (to, from) in short.iter_mut().zip(hasher.finalize()) {
        *to = from;
    }
    short
}

#[cfg(test)]
mod tests;
