//! The domain of mobile measurement, pure: what a device, an engagement, an install, an event and a
//! decision are, and every rule a product person would argue about.
//!
//! Nothing here waits, fails for outside reasons, looks at a clock or draws a random number. Times and
//! identifiers arrive as arguments, so the same inputs always give the same answers.

pub mod attribution;
pub mod catalogue;
pub mod claim;
pub mod consent;
pub mod cost;
pub mod device;
pub mod engagement;
pub mod event;
pub mod flag;
pub mod fraud;
pub mod health;
pub mod id;
pub mod identifier;
pub mod input;
pub mod install;
pub mod ledger;
pub mod link;
pub mod place;
pub mod platform;
pub mod policy;
pub mod postback;
pub mod privacy;
pub mod reengagement;
pub mod referrer;
pub mod skad;
pub mod source;
pub mod time;
pub mod user;

pub use id::{
    AppId, CampaignId, DeliveryId, DeviceId, InputId, InstallId, JobId, KeyId, MemberId, NetworkId,
    SegmentId, SourceId, TemplateId, TouchId, TrackerId, TriggerId,
};
pub use rust_decimal::Decimal;
pub use time::Timestamp;
