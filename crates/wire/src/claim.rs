//! Claims of self-attributing networks, in a form of our own (tracking-and-attribution.md section 12,
//! docs/claims.md).

use std::sync::Arc;

use measure::{
    NetworkId, Timestamp, TrackerId,
    catalogue::{App, Catalogue, Tracker},
    claim::Claim,
    engagement::EngagementKind,
    flag::{Flag, Flags},
    identifier::{IdKind, Identifier},
    platform::Os,
    policy::Window,
};

use crate::{
    json::{Json, Object, get},
    link::identifier_forms,
    moment::{self, Moment},
    redaction::{NEEDLES_MAX, Needles, idfas, redact},
    refusal::Refusal,
    s2s::Element,
};

/// How long a lookback window may be, in seconds: 1 minute to 30 days.
pub const LOOKBACK_S: std::ops::RangeInclusive<u32> = 60..=30 * 86_400;
/// Identifiers that one claim may name.
pub const IDENTIFIERS_MAX: usize = 64;
/// Words of a campaign's name that are looked at for a tracker.
const NAME_WORDS_MAX: usize = 64;

/// Fields that have a place of their own in a claim.
const OWN_KEYS: [&str; 14] = [
    "network_id",
    "kind",
    "time",
    "device_ids",
    "device_id_is_hashed",
    "device_hash_method",
    "device_id_hash_method",
    "claim_id",
    "tracker_id",
    "lookback_window",
    "is_granular_data_sharing_allowed",
    "site_id",
    "creative_id",
    "att",
];

/// A claim, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// What it says.
    pub claim: Claim,
    /// What was odd about it.
    pub flags: Flags,
    /// The element as received, minus what consent forbids.
    pub body: String,
}

/// Parses a claim on a device of `app`. With `att` false the IDFA is removed before anything else is read,
/// as from a link (DECISIONS 16).
///
/// # Errors
/// 400 when something required is missing, has the wrong type, or names what is not there.
pub fn parse(
    element: &Element,
    app: &App,
    catalogue: &Catalogue,
    received: Timestamp,
) -> Result<Parsed, Refusal> {
    let mut flags = Flags::new();
    let mut json = element.json().clone();
    let att = fields(&json)?.truth("att")?;
    let mut body = None;
    if att == Some(false) {
        let mut needles = Needles::default();
        idfas(&json, &mut needles);
        if needles.len() > NEEDLES_MAX {
            return Err(Refusal::bad_request(format!("more than {NEEDLES_MAX} idfa values: send one")));
        }
        if !needles.is_empty() {
            redact(&mut json, &needles);
            flags.insert(Flag::IdfaDroppedAttFalse);
            body = Some(json.to_string());
        }
    }
    let fields = fields(&json)?;
    let network = fields.network(catalogue)?;
    let campaign_name = fields.text("campaign_name");
    let tracker = match fields.text("tracker_id") {
        Some(named) => Some(tracker(catalogue, app, network, named).ok_or_else(|| {
            Refusal::bad_request("tracker_id: no tracker of this app and network is called so")
        })?),
        None => campaign_name.and_then(|name| named_tracker(catalogue, app, network, name)),
    };
    let claim = Claim {
        kind: fields.kind()?,
        time: fields.time(received, catalogue.policy_of(app).clock_skew_ms, &mut flags)?,
        network,
        tracker: tracker.map(|tracker| tracker.id),
        campaign: tracker.map(|tracker| tracker.campaign),
        segment: tracker.map(|tracker| tracker.segment),
        identifiers: fields.identifiers(app.os().as_ref(), &mut flags)?,
        claim_id: fields.owned("claim_id"),
        lookback: fields.lookback()?,
        granular: fields.truth("is_granular_data_sharing_allowed")?.unwrap_or(true),
        site_id: fields.owned("site_id"),
        creative_id: fields.owned("creative_id"),
        params: fields.params(),
        time_future: flags.contains(&Flag::TimeFuture),
    };
    if claim.identifiers.is_empty() {
        return Err(Refusal::bad_request(
            "device_ids: names no usable identifier; a network claims a device by one",
        ));
    }
    Ok(Parsed { claim, flags, body: body.unwrap_or_else(|| element.text().to_owned()) })
}

/// The network's own number of a claim, as it is written: the key that makes a retry count once.
#[must_use]
pub fn claim_key(claim: &Claim) -> Option<String> {
    claim.claim_id.as_ref().map(|id| format!("{}:{id}", claim.network))
}

/// The fields of a claim.
struct Fields<'j>(&'j Object);

fn fields(json: &Json) -> Result<Fields<'_>, Refusal> {
    json.object().map(Fields).ok_or_else(|| Refusal::bad_request("a claim has to be an object"))
}

impl<'j> Fields<'j> {
    fn field(&self, key: &str) -> Option<&'j Json> {
        get(self.0, key).filter(|value| !value.is_blank())
    }

    fn text(&self, key: &str) -> Option<&'j str> {
        self.field(key)?.scalar().map(str::trim).filter(|text| !text.is_empty())
    }

    fn owned(&self, key: &str) -> Option<String> {
        self.text(key).map(str::to_owned)
    }

    fn truth(&self, key: &str) -> Result<Option<bool>, Refusal> {
        let read = |value: &Json| {
            let wrong = || Refusal::bad_request(format!("{key}: must be true or false"));
            value.truth().ok_or_else(wrong)
        };
        self.field(key).map(read).transpose()
    }

    fn network(&self, catalogue: &Catalogue) -> Result<NetworkId, Refusal> {
        let named = self.text("network_id").ok_or_else(|| {
            Refusal::bad_request("network_id is required: send the number of the network that claims")
        })?;
        let network = named.parse::<NetworkId>().ok().and_then(|id| catalogue.network(id));
        let network = network.filter(|network| !network.deleted);
        network.map(|network| network.id).ok_or_else(|| {
            Refusal::bad_request("network_id: there is no such network; create it first, or check its number")
        })
    }

    fn kind(&self) -> Result<EngagementKind, Refusal> {
        match self.text("kind") {
            None | Some("click") => Ok(EngagementKind::Click),
            Some("impression") => Ok(EngagementKind::Impression),
            Some(_) => Err(Refusal::bad_request("kind: must be click or impression")),
        }
    }

    /// The network's own time: without one nobody could tell what the claim beats. Clocks may disagree by
    /// `skew_ms`; a claim from further ahead would beat whatever really happened.
    fn time(&self, received: Timestamp, skew_ms: i64, flags: &mut Flags) -> Result<Timestamp, Refusal> {
        let skew_ms = skew_ms.max(0);
        match moment::read(self.text("time")) {
            Moment::At(time) if time > received.plus(skew_ms) => Err(Refusal::bad_request(format!(
                "time: lies more than {} seconds (attribution.clock_skew) in the future: send when the click or \
                 impression happened, in UTC or with its zone",
                skew_ms / 1_000
            ))),
            Moment::At(time) if time > received => {
                flags.insert(Flag::TimeFuture);
                Ok(received)
            }
            Moment::At(time) => Ok(time),
            Moment::Missing => {
                Err(Refusal::bad_request("time is required: send when the click or impression happened"))
            }
            Moment::Invalid | Moment::Before2008 => Err(Refusal::bad_request(
                "time: must be epoch seconds or milliseconds, or ISO 8601, after 2007",
            )),
        }
    }

    fn lookback(&self) -> Result<Option<Window>, Refusal> {
        let Some(text) = self.text("lookback_window") else { return Ok(None) };
        let seconds = text.parse::<u32>().ok().filter(|seconds| LOOKBACK_S.contains(seconds));
        let (least, most) = (LOOKBACK_S.start(), LOOKBACK_S.end());
        let wrong =
            || Refusal::bad_request(format!("lookback_window: must be from {least} to {most} seconds"));
        seconds.map(|seconds| Some(Window::Seconds(seconds))).ok_or_else(wrong)
    }

    fn identifiers(
        &self,
        os: Option<&Os>,
        flags: &mut Flags,
    ) -> Result<Vec<measure::engagement::LinkIdentifier>, Refusal> {
        let ids = match self.field("device_ids") {
            None => return Ok(Vec::new()),
            Some(Json::Object(ids)) => ids,
            Some(_) => {
                return Err(Refusal::bad_request("device_ids: must be an object, such as {\"adid\": …}"));
            }
        };
        if ids.len() > IDENTIFIERS_MAX {
            return Err(Refusal::bad_request(format!("device_ids: more than {IDENTIFIERS_MAX} entries")));
        }
        let method = ["device_hash_method", "device_id_hash_method"];
        let is_hashed = self.truth("device_id_is_hashed")? == Some(true)
            || method.iter().any(|key| self.text(key).is_some());
        let mut found = Vec::new();
        for (key, value) in ids {
            let mut kind = IdKind::named(key);
            if kind == IdKind::Idfa && os.is_some_and(Os::runs_android_apps) {
                kind = IdKind::Adid;
                flags.insert(Flag::AdidUnderIdfa);
            }
            let identifier = value.scalar().and_then(|text| Identifier::new(kind, text));
            for form in identifier.into_iter().flat_map(|identifier| identifier_forms(identifier, is_hashed))
            {
                if !found.contains(&form) {
                    found.push(form);
                }
            }
        }
        Ok(found)
    }

    /// Everything without a place of its own, in the order written.
    fn params(&self) -> Vec<(String, String)> {
        let others =
            self.0.iter().filter(|(key, value)| !OWN_KEYS.contains(&key.as_str()) && !value.is_blank());
        others
            .map(|(key, value)| {
                (key.clone(), value.scalar().map_or_else(|| value.to_string(), |text| text.trim().to_owned()))
            })
            .collect()
    }
}

/// The tracker of the app and network that a GUID or a number names.
fn tracker<'c>(
    catalogue: &'c Catalogue,
    app: &App,
    network: NetworkId,
    named: &str,
) -> Option<&'c Arc<Tracker>> {
    let by_number = || named.parse::<TrackerId>().ok().and_then(|id| catalogue.tracker(id));
    let tracker = catalogue.tracker_by_guid(named).or_else(by_number)?;
    (tracker.app == app.id && tracker.network == network && !tracker.deleted).then_some(tracker)
}

/// The tracker that an agency put into the campaign's name, as its GUID or as `tracker_id=NUMBER`: the
/// first one that this app has on the network. A number alone could be anything.
fn named_tracker<'c>(
    catalogue: &'c Catalogue,
    app: &App,
    network: NetworkId,
    name: &str,
) -> Option<&'c Arc<Tracker>> {
    let words = name
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '=')))
        .filter(|word| !word.is_empty())
        .chain(name.split_whitespace())
        .take(NAME_WORDS_MAX);
    let numbered = ["tracker_id=", "tracker_id:"];
    let by_number = numbered.iter().filter_map(|key| {
        let (_, behind) = name.split_once(key)?;
        behind.split(|c: char| !c.is_ascii_digit()).next()
    });
    words
        .filter(|word| word.parse::<TrackerId>().is_err())
        .chain(by_number)
        .find_map(|word| tracker(catalogue, app, network, word))
}
