//! The records behind the keys: a version byte, then the value as MessagePack, structs as arrays of their
//! fields in order and variants by their names.
//!
//! To change a stored type: append a field with `#[serde(default)]`, which older records can do without.
//! Anything else (a field removed, moved or retyped, a variant renamed) needs a new version of the record
//! and a decoder for each older one. `tests/golden` holds a file of every version; all must stay readable.

use measure::{
    AppId, DeviceId, InputId, InstallId, KeyId, Timestamp,
    attribution::Decision,
    catalogue::Change,
    cost::CostDay,
    device::Device,
    engagement::Touch,
    fraud::Figures,
    identifier::DigestLength,
    input::{Fact, Quarantined},
    install::InstallRecord,
    ledger::Counter,
    postback::Delivery,
    privacy::{Job, Tombstone},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Credit, DigestIndex, EventName, Seen, StoreError, quarantine::Entry};

/// The version that every record is written in. So far there has been no other.
const VERSION: u8 = 1;

/// A stored type.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// What people call it when it cannot be read.
    const NAME: &'static str;

    /// The bytes.
    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        // About what it takes with its texts: growing by doubling would copy every record several times.
        let mut bytes = Vec::with_capacity(size_of::<Self>() + 32);
        bytes.push(VERSION);
        rmp_serde::encode::write(&mut bytes, self).map_err(|error| unsound::<Self>(&error))?;
        Ok(bytes)
    }

    /// The value behind `bytes`.
    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        match bytes.split_first() {
            Some((&VERSION, record)) => {
                rmp_serde::from_slice(record).map_err(|error| unsound::<Self>(&error))
            }
            Some((version, _)) => Err(unsound::<Self>(&format_args!("version {version} is not known"))),
            None => Err(unsound::<Self>(&"it is empty")),
        }
    }
}

fn unsound<R: Record>(why: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("{}: {why}", R::NAME))
}

macro_rules! records {
    ($($type:ty => $name:literal,)*) => {
        $(impl Record for $type {
            const NAME: &'static str = $name;
        })*
    };
}

/// The place of a fact, behind the identifier of an input.
pub(crate) type Sequence = u64;
/// An install under a match key.
pub(crate) type Arrival = (Timestamp, InstallId);
/// An input that waits.
pub(crate) type Held = (Timestamp, InputId);
/// A quarantined body as the limits see it.
pub(crate) type Shelved = (Option<AppId>, InputId, Entry);
/// An event name with its text, which the key only hashes.
pub(crate) type NamedEvent = (String, EventName);
/// A length of digests that an app has sent.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SentLength {
    pub app: AppId,
    pub length: DigestLength,
    /// When the first one was received; records from before this was kept say 1970.
    #[serde(default)]
    pub since: Timestamp,
}
/// How far the index of an app has come.
pub(crate) type IndexedLength = (AppId, DigestLength, DigestIndex);
/// A counter with its value.
pub(crate) type Counted = (Option<AppId>, Counter, i64);
/// What fraud rules count for an app.
pub(crate) type Figured = (AppId, Figures);
/// When a management key was last used.
pub(crate) type Used = (KeyId, Timestamp);

records! {
    Fact => "fact",
    Sequence => "sequence",
    Device => "device",
    DeviceId => "device_key",
    Touch => "touch",
    Arrival => "arrival",
    Held => "held",
    Seen => "seen",
    InstallRecord => "install",
    Decision => "decision",
    Credit => "credit",
    Delivery => "delivery",
    Change => "change",
    Quarantined => "quarantined",
    Shelved => "shelved",
    NamedEvent => "event_name",
    SentLength => "digest_length",
    IndexedLength => "digest_index",
    Counted => "counter",
    Timestamp => "horizon",
    Figured => "figures",
    Used => "key_use",
    Job => "job",
    CostDay => "cost_day",
    Tombstone => "tombstone",
}

#[cfg(test)]
mod tests;
