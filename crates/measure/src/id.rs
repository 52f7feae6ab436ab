//! Typed identifiers.
//!
//! What traffic creates is named by a time-ordered UUID (version 7) with a prefix that says what it is:
//! `in_` an input, `ins_` the install it made, `clk_` the click or impression. One input makes at most
//! one of each, so the three share the UUID of the input. What people create (apps, networks, …) has a
//! small number, because the incumbent's API shows numbers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// A text that is not the identifier it was taken for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not a valid identifier: it starts with `{expected}` and goes on with 32 hexadecimal digits")]
pub struct InvalidId {
    /// The prefix the identifier should have had.
    pub expected: &'static str,
}

/// The digits of a ULID: Crockford's base 32.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The 26 characters of a ULID (github.com/ulid/spec) with the bits of a UUID, which others ask for.
#[must_use]
pub fn ulid(id: Uuid) -> String {
    let digit = |place: u32| DIGITS.get((id.as_u128() >> (5 * place)) as usize % DIGITS.len());
    (0..26).rev().filter_map(digit).map(|digit| char::from(*digit)).collect()
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The prefix of the written form.
            pub const PREFIX: &'static str = $prefix;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix)
                    .filter(|hex| hex.len() == 32)
                    .and_then(|hex| Uuid::try_parse(hex).ok())
                    .map(Self)
                    .ok_or(InvalidId { expected: $prefix })
            }
        }
    };
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_id!(
    /// One element received: the unit of the ledger (DECISIONS 9).
    InputId, "in_");
uuid_id!(
    /// An install: the first launch of an app on a device.
    InstallId, "ins_");
uuid_id!(
    /// A click or an impression. Its written form is the click id that travels in install referrers
    /// (`utm_source`) and landing pages (`ko_click_id`).
    TouchId, "clk_");
uuid_id!(
    /// A device as one app knows it.
    DeviceId, "dev_");
uuid_id!(
    /// A postback to be delivered; the same over all its attempts and replays.
    DeliveryId, "dlv_");
uuid_id!(
    /// A privacy request.
    JobId, "job_");

impl From<InputId> for InstallId {
    fn from(input: InputId) -> Self {
        Self(input.0)
    }
}

impl From<InputId> for TouchId {
    fn from(input: InputId) -> Self {
        Self(input.0)
    }
}

impl From<InputId> for DeviceId {
    fn from(input: InputId) -> Self {
        Self(input.0)
    }
}

impl From<TouchId> for InputId {
    fn from(touch: TouchId) -> Self {
        Self(touch.0)
    }
}

impl From<InstallId> for InputId {
    fn from(install: InstallId) -> Self {
        Self(install.0)
    }
}

number_id!(
    /// An app.
    AppId);
number_id!(
    /// A network: the media partner that shows the ads.
    NetworkId);
number_id!(
    /// A campaign of an app.
    CampaignId);
number_id!(
    /// A segment of a campaign; `tier` on the wire.
    SegmentId);
number_id!(
    /// A tracker: the owner of a tracking link.
    TrackerId);
number_id!(
    /// A postback trigger.
    TriggerId);
number_id!(
    /// A postback template.
    TemplateId);
number_id!(
    /// A management key.
    KeyId);
number_id!(
    /// A member: somebody who works with the account.
    MemberId);
number_id!(
    /// A source: where an app's events come from.
    SourceId);
