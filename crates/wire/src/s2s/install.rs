//! Installs (ingest.md section 3).

use measure::{
    device::Origin,
    flag::{Flag, Flags},
    install::Install,
};

use super::{ENVELOPE_KEYS, Edge, envelope::Envelope, identity_link, referrer, search_ads};
use crate::moment;

/// The install that an envelope describes.
pub fn read(envelope: &Envelope<'_>, origin: Origin, edge: &Edge<'_>, flags: &mut Flags) -> Install {
    let (time, odd) = moment::settle(envelope.time("usertime"), edge.received);
    flags.extend(odd);
    let search_ads = search_ads::read(envelope);
    if search_ads.as_ref().is_some_and(|ads| ads.click_time.is_none()) {
        flags.insert(Flag::DateManufactured);
    }
    Install {
        origin,
        time,
        click: referrer::read(envelope),
        search_ads,
        links: identity_link::riding(envelope),
        params: envelope.rest(&[&ENVELOPE_KEYS, &["identity_link"]]),
    }
}
