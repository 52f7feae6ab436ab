//! Whether what the senders of an app send can be used: counted over the newest facts, and said in words
//! (management-and-reporting.md section 12: "silent acceptance").

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use crate::{
    InputId, Timestamp,
    device::Origin,
    flag::{Flag, Flags},
    identifier::{IdKind, JoinKey},
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
    /// Apple's advertising id, of Apple devices.
    Idfa,
    /// Apple's vendor id, of Apple devices.
    Idfv,
    /// Google's advertising id, of Android devices.
    Adid,
    /// The Android id, of Android devices.
    AndroidId,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 11] = [
        Self::JoinKey,
        Self::KochavaDeviceId,
        Self::Identifier,
        Self::Idfa,
        Self::Idfv,
        Self::Adid,
        Self::AndroidId,
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
            Self::Idfa => "idfa",
            Self::Idfv => "idfv",
            Self::Adid => "adid",
            Self::AndroidId => "android_id",
        }
    }

    /// Whether a payload lacks it; `None` where it does not apply.
    fn is_missing(self, payload: &Payload, flags: &Flags) -> Option<bool> {
        if let Payload::Link(link) = payload {
            return match self {
                Self::JoinKey => Some(link.join_keys().is_empty()),
                Self::KochavaDeviceId => Some(link.kochava_device_id.is_none()),
                Self::Identifier => {
                    Some(link.identifiers.is_empty() && link.idfa.is_none() && link.digests.is_empty())
                }
                _ => None,
            };
        }
        let origin = origin(payload)?;
        let is_apple = matches!(origin.traits.os, Some(Os::Ios | Os::TvOs));
        let is_android = matches!(origin.traits.os, Some(Os::Android));
        let runs_android_apps = origin.traits.os.as_ref().is_some_and(Os::runs_android_apps);
        let lacks = |kind: &IdKind| origin.identifiers.iter().all(|id| id.kind != *kind);
        match self {
            Self::JoinKey => Some(flags.contains(&Flag::NoIdentifier) || origin.join_keys().is_empty()),
            Self::KochavaDeviceId => Some(origin.kochava_device_id.is_none()),
            Self::Identifier => Some(origin.identifiers.is_empty()),
            Self::Idfa => is_apple.then(|| lacks(&IdKind::Idfa)),
            Self::Idfv => is_apple.then(|| lacks(&IdKind::Idfv)),
            Self::Adid => is_android.then(|| lacks(&IdKind::Adid)),
            Self::AndroidId => runs_android_apps.then(|| lacks(&IdKind::AndroidId)),
            Self::Ip => Some(origin.ip.is_none()),
            Self::UserAgent => Some(flags.contains(&Flag::UaMissing)),
            Self::Att => is_apple.then_some(origin.consent.att.flag.is_none()),
            Self::Time => Some(TIMELESS.iter().any(|flag| flags.contains(flag))),
        }
    }
}

/// Flags of inputs that carry no usable time.
const TIMELESS: [Flag; 3] = [Flag::TimeMissing, Flag::TimeInvalid, Flag::TimeBefore2008];
/// Flags of inputs from clocks that are off: ahead of ours, or off by what the sender itself told.
const CLOCK_OFF: [Flag; 2] = [Flag::TimeFuture, Flag::ClockCorrected];

/// The first thing that a payload looks for its install by.
fn sought(payload: &Payload) -> Option<JoinKey> {
    match payload {
        Payload::Link(link) => link.join_keys().into_iter().next(),
        Payload::Update(update) => Some(JoinKey::kochava(&update.kochava_device_id)),
        other => origin(other)?.join_keys().into_iter().next(),
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
    /// Bodies that could not be used.
    pub quarantined: usize,
    /// Calls answered with an error and not kept.
    pub refused: u64,
    /// When the newest one was received that was accepted or could not be used.
    pub last_seen: Option<Timestamp>,
    /// What they lack.
    pub missing: BTreeMap<Part, Share>,
    /// Those from clocks that are off.
    pub clocks_off: Share,
    /// Those that found no install within an hour, of those that look for one.
    pub unjoined: Share,
    /// What those look for it by.
    strangers: HashSet<JoinKey>,
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
        if !input.payload.has_source() {
            return;
        }
        let row = self.rows.entry((input.via, input.payload.kind())).or_default();
        row.accepted += 1;
        row.last_seen = row.last_seen.max(Some(input.received));
        for part in Part::ALL {
            if let Some(missing) = part.is_missing(&input.payload, &input.flags) {
                row.missing.entry(part).or_default().count(missing);
            }
        }
        if origin(&input.payload).is_some() {
            row.clocks_off.count(CLOCK_OFF.iter().any(|flag| input.flags.contains(flag)));
        }
        let looks = matches!(input.payload, Payload::Event(_) | Payload::Update(_) | Payload::Link(_));
        if looks && now.millis() - input.received.millis() >= JOIN_MS {
            let is_joined = self.joined.contains(&input.id);
            row.unjoined.count(!is_joined);
            if !is_joined {
                row.strangers.extend(sought(&input.payload));
            }
        }
    }

    /// Takes in a body that could not be used.
    pub fn quarantined(&mut self, via: Via, action: &'static str, received: Timestamp) {
        let row = self.rows.entry((via, action)).or_default();
        row.quarantined += 1;
        row.last_seen = row.last_seen.max(Some(received));
    }

    /// Takes in calls that were answered with an error and not kept.
    pub fn refused(&mut self, via: Via, action: &'static str, calls: u64) {
        self.rows.entry((via, action)).or_default().refused += calls;
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
    /// How many different identifiers found no install within an hour.
    #[must_use]
    pub fn strangers(&self) -> usize {
        self.strangers.len()
    }

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
                "carry no device identifier: none can be linked"
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
        say(
            self.clocks_off,
            CLOCKS_PERCENT,
            "come from clocks that are off: times ahead are cut to receipt, those of senders that tell when they \
             sent are corrected",
        );
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

/// What the install of a test device lacks to be measured in full, in words; nothing when the integration is
/// complete.
#[must_use]
pub fn incomplete(origin: &Origin, flags: &Flags) -> Vec<String> {
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
    need(!TIMELESS.iter().any(|flag| flags.contains(flag)), "`usertime`: when the app was first opened");
    missing
}
