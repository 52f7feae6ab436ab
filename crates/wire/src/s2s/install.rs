//! Installs (ingest.md section 3).

use measure::{
    device::Origin,
    flag::{Flag, Flags},
    install::Install,
};

use super::{ENVELOPE_KEYS, envelope::Envelope, identity_link, origin::Sender, referrer, search_ads};
use crate::moment;

/// The install that an envelope describes.
pub fn read(envelope: &Envelope<'_>, origin: Origin, sender: Sender<'_>, flags: &mut Flags) -> Install {
    let (mut time, odd) = moment::settle(envelope.time("usertime"), sender.edge.received);
    flags.extend(odd);
    let referrer = referrer::source(envelope, &sender.app.referrer);
    // The first launch may be long after the download, and clicks in between led to nothing.
    let begin = referrer.as_ref().and_then(|referrer| referrer.begin).filter(|begin| *begin <= time);
    if let Some(begin) = begin.filter(|_| sender.app.policy.referrer_begin_time == Some(true)) {
        time = begin;
        flags.insert(Flag::ReferrerBeginTime);
    }
    let search_ads = search_ads::read(envelope, flags);
    if search_ads.as_ref().is_some_and(|ads| ads.click_time.is_none()) {
        flags.insert(Flag::DateManufactured);
    }
    Install {
        origin,
        time,
        click: referrer::read(envelope, &sender.app.referrer),
        search_ads: search_ads.map(Box::new),
        links: identity_link::riding(envelope),
        referrer: referrer.map(Box::new),
        params: envelope.rest(&[&ENVELOPE_KEYS, &["identity_link"]]),
    }
}
