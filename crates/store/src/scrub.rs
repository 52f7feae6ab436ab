//! What a privacy request does to the store: records replaced in place, look-ups taken away
//! (tracking-and-attribution.md section 16).

use measure::{
    AppId, DeliveryId, DeviceId, InputId, InstallId, Timestamp, TouchId,
    attribution::Decision,
    device::Device,
    engagement::MatchKey,
    fraud::Figures,
    identifier::JoinKey,
    input::{Fact, IdempotencyKey},
    install::InstallRecord,
    privacy::{Job, Tombstone},
};

/// A touch under one of its match keys, named by everything that its place is made of: the app, the match
/// key, the time, the content key, the touch.
pub type TouchPlace = (AppId, MatchKey, Timestamp, u64, TouchId);

/// One step of a privacy request: written in one atomic, synced commit or not at all. Nothing that counts
/// changes, but for pending deliveries, which are suppressed. Doing it twice is doing it once.
#[derive(Clone, Debug, Default)]
pub struct Scrub {
    /// Facts with what is left of them. One whose sequence holds no fact of the same input is left out.
    pub facts: Vec<Fact>,
    /// Devices with what is left of them.
    pub devices: Vec<Device>,
    /// Ways to look up a device that no longer hold; a key that leads to another device stays.
    pub device_keys: Vec<(AppId, JoinKey, DeviceId)>,
    /// Touches that no install shall find any more.
    pub touches: Vec<TouchPlace>,
    /// Installs that no engagement shall find any more, under a match key and their time.
    pub arrivals: Vec<(AppId, MatchKey, Timestamp, InstallId)>,
    /// Inputs that no longer wait, under a join key.
    pub held: Vec<(AppId, JoinKey, InputId)>,
    /// Idempotency keys to forget.
    pub seen: Vec<(AppId, IdempotencyKey)>,
    /// Installs with what is left of them.
    pub installs: Vec<InstallRecord>,
    /// Decisions, by install and revision, with what is left of them.
    pub decisions: Vec<Decision>,
    /// Deliveries to erase; pending ones, leased or not, become suppressed, `erased`, and are counted so.
    pub deliveries: Vec<DeliveryId>,
    /// Bodies in quarantine to remove.
    pub quarantine: Vec<(Option<AppId>, InputId)>,
    /// What fraud rules count, without what is forgotten.
    pub figures: Vec<(AppId, Figures)>,
    /// Who is to be refused from now on.
    pub tombstones: Vec<Tombstone>,
    /// The request itself, as it is after this step.
    pub job: Option<Job>,
}
