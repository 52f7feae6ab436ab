//! What an input says about its device (ingest.md sections 2, 7, 8 and 12).

use std::net::IpAddr;

use measure::{
    catalogue::App,
    consent::Consent,
    device::Origin,
    flag::{Flag, Flags},
    identifier::is_absent,
    place::Place,
    platform::{Os, Traits},
};

use super::{Edge, device_ids, envelope::Envelope};
use crate::{
    redaction::Needles,
    user_agent::{decoded, manufactured_user_agent, merged, traits_of_version},
};

/// Who sends, which decides where address and user agent come from.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    pub app: &'a App,
    pub edge: &'a Edge<'a>,
    /// The browser SDK sends neither address nor user agent: the connection has them. Everywhere else the
    /// connection is that of somebody's server (ingest.md sections 12 and 18).
    pub is_web_sdk: bool,
}

/// The user agent and the make of the device.
#[derive(Clone)]
pub struct Make {
    pub user_agent: Option<String>,
    pub traits: Traits,
}

impl Make {
    /// Reads both; a user agent that holds a forbidden value is left out.
    pub fn read(envelope: &Envelope<'_>, sender: Sender<'_>, forbidden: &Needles) -> Self {
        let written = if sender.is_web_sdk { sender.edge.user_agent } else { envelope.text("device_ua") };
        let user_agent =
            written.and_then(decoded).filter(|text| forbidden.is_empty() || !forbidden.hit(text));
        let from_version = envelope.text("device_ver").map(traits_of_version).unwrap_or_default();
        let from_user_agent = user_agent.as_deref().map(sender.edge.traits_of).unwrap_or_default();
        let traits = merged(from_version, from_user_agent, sender.app.os());
        Self { user_agent, traits }
    }

    /// The operating system, else that of the app's platform.
    pub fn os(&self, app: &App) -> Option<Os> {
        self.traits.os.clone().or_else(|| app.os())
    }
}

/// The device of an install or event. What consent forbids has been removed from the envelope before.
pub fn read(
    envelope: &Envelope<'_>,
    sender: Sender<'_>,
    make: Make,
    consent: Consent,
    flags: &mut Flags,
) -> Origin {
    let os = make.os(sender.app);
    let mut identifiers = device_ids::read(envelope, os.as_ref());
    device_ids::settle_android(&mut identifiers, os.as_ref(), flags);
    let kochava_device_id = kochava_device_id(envelope);
    if identifiers.is_empty() && kochava_device_id.is_none() {
        flags.insert(Flag::NoIdentifier);
    }
    if consent.limit_tracking == Some(true) {
        flags.insert(Flag::LimitAdTracking);
    }
    let user_agent = make.user_agent.or_else(|| {
        let manufactured = manufactured_user_agent(&make.traits);
        flags.insert(if manufactured.is_some() { Flag::UaManufactured } else { Flag::UaMissing });
        manufactured
    });
    let ip = if sender.is_web_sdk { sender.edge.ip } else { sent_ip(envelope, flags) };
    if ip.is_none() && !flags.contains(&Flag::IpInvalid) {
        flags.insert(Flag::IpMissing);
    }
    let version = ["app_version", "app_ver"].iter().find_map(|key| envelope.text(key));
    Origin {
        kochava_device_id,
        identifiers,
        ip: ip.map(|ip| ip.to_canonical()),
        user_agent,
        traits: make.traits,
        consent,
        app_version: version.map(str::to_owned),
        country: country(envelope),
        user: Vec::new(),
        place: Place::default(),
        locality: None,
    }
}

/// The `kochava_device_id`; placeholders would join strangers and mean absent.
pub fn kochava_device_id(envelope: &Envelope<'_>) -> Option<String> {
    envelope.text("kochava_device_id").filter(|id| !is_absent(id)).map(str::to_owned)
}

/// The country, when the sender names one by its two letters.
fn country(envelope: &Envelope<'_>) -> Option<String> {
    let code = envelope.text("country")?;
    let is_code = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_code.then(|| code.to_ascii_uppercase())
}

fn sent_ip(envelope: &Envelope<'_>, flags: &mut Flags) -> Option<IpAddr> {
    let text = envelope.text("origination_ip").filter(|text| !is_absent(text))?;
    let ip = ip(text);
    if ip.is_none() {
        flags.insert(Flag::IpInvalid);
    }
    ip
}

/// An address that a device can have.
pub fn ip(text: &str) -> Option<IpAddr> {
    text.trim().parse::<IpAddr>().ok().filter(|ip| !ip.is_unspecified())
}
