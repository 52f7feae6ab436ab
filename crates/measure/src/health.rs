//! Whether what the senders of an app send can be used: counted over the newest facts, and said in words
//! (management-and-reporting.md section 12: "silent acceptance").

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use crate::{
    InputId, Timestamp,
    device::Origin,
    flag::{Flag, Flags},
    input::{Fact, Outcome, Payload},
    platform::Os,
    source::Via,
    time::HOUR_MS,
};

/// From this share on, in percent, something missing is worth a sentence.
const MISSING_PERCENT: usize = 50;
/// From this share on, in percent, clocks that are off are worth a sentence.
const CLOCKS_PERCENT: usize = 5;
/// An input is too young to say that it never joins until this long after its receipt, milliseconds.
const JOIN_MS: i64 = HOUR_MS;

/// Something that a payload should carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Anything that a device can be joined by: `kochava_device_id` or an identifier.
    JoinKey,
    /// `kochava_device_id`.
    KochavaDeviceId,
    /// A device identifier.
    Identifier,
    /// The address of the device.
    Ip,
    /// A user agent, or a device version to make one from.
    UserAgent,
    /// The App Tracking Transparency flag, of Apple devices.
    Att,
    /// The time at which it happened.
    Time,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 7] = [
        Self::JoinKey,
        Self::KochavaDeviceId,
        Self::Identifier,
        Self::Ip,
        Self::UserAgent,
        Self::Att,
        Self::Time,
    ];

    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::JoinKey => "join_key",
            Self::KochavaDeviceId => "kochava_device_id",
            Self::Identifier => "device_identifier",
            Self::Ip => "ip",
            Self::UserAgent => "user_agent",
            Self::Att => "att",
            Self::Time => "time",
        }
    }

    /// Whether a payload lacks it; `None` where it does not apply.
    fn is_missing(self, payload: &Payload, flags: &Flags) -> Option<bool> {
        let origin = origin(payload)?;
        let carries_device = matches!(payload, Payload::Install(_) | Payload::Event(_));
        match self {
            Self::JoinKey => Some(flags.contains(&Flag::NoIdentifier) || origin.join_keys().is_empty()),
            Self::KochavaDeviceId => Some(origin.kochava_device_id.is_none()),
            Self::Identifier => Some(origin.identifiers.is_empty()),
            Self::Ip => carries_device.then_some(origin.ip.is_none()),
            Self::UserAgent => carries_device.then(|| flags.contains(&Flag::UaMissing)),
            Self::Att => {
                let is_apple = matches!(origin.traits.os, Some(Os::Ios | Os::TvOs));
                (carries_device && is_apple).then_some(origin.consent.att.flag.is_none())
            }
            Self::Time => carries_device.then(|| {
                [Flag::TimeMissing, Flag::TimeInvalid, Flag::TimeBefore2008]
                    .iter()
                    .any(|flag| flags.contains(flag))
            }),
        }
    }
}

const fn origin(payload: &Payload) -> Option<&Origin> {
    match payload {
        Payload::Install(install) => Some(&install.origin),
        Payload::Event(event) => Some(&event.origin),
        _ => None,
    }
}

/// How many there were, and how many of them lack something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Those that the question applies to.
    pub of: usize,
    /// Those of which it is true.
    pub part: usize,
}

impl Share {
    const fn count(&mut self, is_part: bool) {
        self.of += 1;
        self.part += is_part as usize;
    }

    /// The share in percent, rounded down; 0 of nothing.
    #[must_use]
    pub fn percent(self) -> usize {
        (self.part * 100).checked_div(self.of).unwrap_or_default()
    }
}

/// What one source sent of one action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Inputs accepted.
    pub accepted: usize,
    /// When the newest one was received.
    pub last_seen: Timestamp,
    /// What they lack.
    pub missing: BTreeMap<Part, Share>,
    /// Those whose clock was ahead of ours.
    pub clocks_off: Share,
    /// Those that found no install within an hour, of those that look for one.
    pub unjoined: Share,
}

/// What an app's senders sent, over a stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// By source and action.
    pub rows: BTreeMap<(Via, &'static str), Row>,
    /// Inputs that a later fact joined to their install.
    joined: HashSet<InputId>,
}

impl Health {
    /// Takes a fact in. Facts come newest first, so that what became of a held input later is known before
    /// the input itself; `now` says which inputs are old enough to have joined.
    pub fn take(&mut self, fact: &Fact, now: Timestamp) {
        let input = &fact.input;
        for outcome in &fact.outcomes {
            match outcome {
                Outcome::EventLinked { input, .. } | Outcome::Applied { input, .. } => {
                    self.joined.insert(*input);
                }
                _ => {}
            }
        }
        if matches!(input.payload, Payload::Engagement(_) | Payload::Aggregate(_)) {
            return;
        }
        let row = self.rows.entry((input.via, input.payload.kind())).or_default();
        row.accepted += 1;
        row.last_seen = row.last_seen.max(input.received);
        for part in Part::ALL {
            if let Some(missing) = part.is_missing(&input.payload, &input.flags) {
                row.missing.entry(part).or_default().count(missing);
            }
        }
        if origin(&input.payload).is_some() {
            row.clocks_off.count(input.flags.contains(&Flag::TimeFuture));
        }
        let looks = matches!(input.payload, Payload::Event(_) | Payload::Update(_) | Payload::Link(_));
        if looks && now.millis() - input.received.millis() >= JOIN_MS {
            row.unjoined.count(!self.joined.contains(&input.id));
        }
    }

    /// What people should know, most pressing first; `name` says what a source is called.
    #[must_use]
    pub fn verdicts(&self, name: impl Fn(Via) -> String) -> Vec<String> {
        let mut verdicts = Vec::new();
        let mut installs = 0;
        for ((via, action), row) in &self.rows {
            installs += if *action == "install" { row.accepted } else { 0 };
            let what = format!("{} from `{}`", plural(action), name(*via));
            verdicts.extend(row.verdicts(action, &what));
        }
        if self.rows.is_empty() {
            verdicts.push("nothing was received".to_owned());
        } else if installs == 0 {
            verdicts
                .push("no install was received: events can only join installs of earlier times".to_owned());
        }
        verdicts
    }
}

impl Row {
    fn verdicts(&self, action: &str, what: &str) -> Vec<String> {
        let mut verdicts = Vec::new();
        let mut say = |share: Share, least: usize, means: &str| {
            if share.part > 0 && share.percent() >= least {
                let how_many =
                    if share.part == share.of { String::new() } else { format!("{} % of ", share.percent()) };
                verdicts.push(format!("{how_many}{what} {means}"));
            }
        };
        let missing = |part| self.missing.get(&part).copied().unwrap_or_default();
        let is_install = action == "install";
        let nothing = missing(Part::JoinKey);
        say(
            nothing,
            1,
            if is_install {
                "carry no device identifier: nothing that comes later can be joined to them"
            } else {
                "carry no device identifier: none of them can be linked"
            },
        );
        if is_install {
            let identifier = missing(Part::Identifier);
            if identifier.part > nothing.part {
                let means = "carry no advertising or vendor identifier: they can only be matched by likeness";
                say(identifier, MISSING_PERCENT, means);
            }
            say(
                missing(Part::Ip),
                MISSING_PERCENT,
                "carry no IP address: they can only be matched by identifier",
            );
            say(
                missing(Part::UserAgent),
                MISSING_PERCENT,
                "carry neither `device_ua` nor `device_ver`: they can only be matched by identifier",
            );
        }
        say(
            missing(Part::Att),
            MISSING_PERCENT,
            "carry no App Tracking Transparency flag: their IDFA is dropped",
        );
        say(missing(Part::Time), MISSING_PERCENT, "carry no usable time: the time of receipt stands for it");
        say(self.clocks_off, CLOCKS_PERCENT, "come from clocks that are ahead: their time is cut to receipt");
        say(
            self.unjoined,
            MISSING_PERCENT,
            "found no install within an hour: their install was not sent, or under other identifiers",
        );
        verdicts
    }
}

/// The plural of a kind of input.
fn plural(action: &str) -> &str {
    match action {
        "install" => "installs",
        "event" => "events",
        "update" => "updates",
        "identity_link" => "identity links",
        "ignored" => "calls that the mapping leaves out",
        other => other,
    }
}

/// What is still missing for the install of a test device to be measured in full, in words; nothing when the
/// integration is complete. `linked` is how many events joined the install.
#[must_use]
pub fn incomplete(origin: &Origin, flags: &Flags, linked: usize) -> Vec<String> {
    let mut missing = Vec::new();
    let mut need = |is_there: bool, what: &str| {
        if !is_there {
            missing.push(what.to_owned());
        }
    };
    need(origin.kochava_device_id.is_some(), "`kochava_device_id`: give every app instance one of its own");
    need(
        !origin.identifiers.is_empty(),
        "a device identifier: `idfa` and `idfv` on Apple devices, `adid` and `android_id` on Android",
    );
    need(origin.ip.is_some(), "`origination_ip`: the address of the device, not of your server");
    need(!flags.contains(&Flag::UaMissing), "`device_ua`, or `device_ver` as model-OS-version");
    let is_apple = matches!(origin.traits.os, Some(Os::Ios | Os::TvOs));
    need(
        !is_apple || origin.consent.att.flag.is_some(),
        "`app_tracking_transparency`: without it the IDFA is dropped",
    );
    let timeless = [Flag::TimeMissing, Flag::TimeInvalid, Flag::TimeBefore2008];
    need(!timeless.iter().any(|flag| flags.contains(flag)), "`usertime`: when the app was first opened");
    need(linked > 0, "an event that joins the install: send one from the same device");
    missing
}
