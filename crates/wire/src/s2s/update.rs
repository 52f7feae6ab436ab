//! Updates (ingest.md section 5).

use measure::{
    consent::Consent,
    flag::{Flag, Flags},
    link::Update,
};

use super::{
    device_ids,
    envelope::Envelope,
    origin::{self, Make, Sender},
};
use crate::refusal::Refusal;

/// The update that an envelope describes. An IDFA that `att: false` forbids has been removed before.
///
/// # Errors
/// 400 without a `kochava_device_id`.
pub fn read(
    envelope: &Envelope<'_>,
    sender: Sender<'_>,
    make: Make,
    consent: Consent,
    flags: &mut Flags,
) -> Result<Update, Refusal> {
    let kochava_device_id = origin::kochava_device_id(envelope).ok_or_else(|| {
        Refusal::bad_request("kochava_device_id is required on an update: send the one of the install")
    })?;
    let os = make.os(sender.app);
    let mut identifiers = device_ids::read(envelope, os.as_ref());
    device_ids::settle_android(&mut identifiers, os.as_ref(), flags);
    if consent.limit_tracking == Some(true) {
        flags.insert(Flag::LimitAdTracking);
    }
    Ok(Update { kochava_device_id, identifiers, consent, traits: make.traits })
}
