//! Privacy requests (tracking-and-attribution.md section 16): whom one is about, what on record tells of
//! them, and what is left of it once their data is erased.
//!
//! Erasing keeps what counts and drops what tells of whom: the kind, the time, the tracker and the amount
//! of an input stay, its identifiers, address, user agent, parameters and body go. So every sum that was
//! right before is right afterwards.

mod others;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashSet},
};

use percent_encoding::percent_decode_str;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use others::Others;

use crate::{
    AppId, DeviceId, InputId, InstallId, JobId, KeyId, Timestamp, TouchId,
    attribution::{Candidate, Decision, Source},
    consent::{Att, Consent},
    cost::bid,
    device::{Device, Origin, Said},
    engagement::{Engagement, LinkIdentifier},
    event::{Event, Value},
    flag::Flag,
    fraud::Finding,
    identifier::{Digest, DigestLength, IdKind, Identifier, JoinKey, forms},
    input::{Fact, Input, Outcome, Payload, Quarantined},
    install::{Install, InstallRecord},
    link::{IdentityLink, Update},
    platform::Traits,
    postback::{Delivery, Request},
    user::UserProperties,
};

/// Devices and identity links that one request may name.
pub const REQUEST_DEVICES_MAX: usize = 100;
/// Texts shorter than this many bytes are not searched for in bodies: they would be found in strangers' too.
/// As identifiers they are compared all the same.
const NEEDLE_BYTES_MIN: usize = 8;
/// How often a text is decoded to be searched: a value may stand in the query of a URL that is itself one.
const ENCODED_TIMES: usize = 2;
/// What stands where a response or a body was.
const ERASED: &str = "[erased]";

/// Whom a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Plain identifiers.
    pub identifiers: Vec<Identifier>,
    /// Digests of identifiers, for those that know no more.
    pub digests: Vec<Digest>,
    /// `kochava_device_id`s.
    pub kochava_ids: Vec<String>,
    /// Identity links: name and value.
    pub links: Vec<(String, String)>,
    /// The devices found.
    pub devices: Vec<(AppId, DeviceId, InstallId)>,
    /// The engagements that their installs are credited to.
    pub touches: Vec<TouchId>,
    /// The identity links that the devices found have had. Their values are looked for in texts; unlike those
    /// that the request names they lead to no further device.
    #[serde(default)]
    pub links_found: Vec<(String, String)>,
    /// The installs of others that carry such a value as well: what is joined to them is theirs.
    #[serde(default)]
    pub others: Vec<(AppId, InstallId)>,
}

impl Subject {
    /// Takes a device in, with everything that it is known by.
    pub fn add_device(&mut self, device: &Device) {
        push_new(&mut self.devices, (device.app, device.id, device.install));
        device.identifiers.iter().for_each(|identifier| push_new(&mut self.identifiers, identifier.clone()));
        device.kochava_ids.iter().for_each(|id| push_new(&mut self.kochava_ids, id.clone()));
        self.add_links(&device.links);
    }

    /// Takes in identity links that one of its devices has or had.
    fn add_links(&mut self, links: &[(String, String)]) {
        links.iter().for_each(|link| push_new(&mut self.links_found, link.clone()));
    }

    /// Takes in the identity links that one of its devices was sent, those included that have been replaced
    /// since.
    pub fn add_links_of(&mut self, fact: &Fact) {
        match &fact.input.payload {
            Payload::Install(install) => self.add_links(&install.links),
            Payload::Link(link) => self.add_links(&link.links),
            _ => {}
        }
    }

    /// Takes in what one of its installs was sent with.
    pub fn add_install(&mut self, record: &InstallRecord) {
        let origin = &record.install.origin;
        origin.identifiers.iter().for_each(|identifier| push_new(&mut self.identifiers, identifier.clone()));
        origin.kochava_device_id.iter().for_each(|id| push_new(&mut self.kochava_ids, id.clone()));
    }

    /// Takes in what the latest decision on one of its installs says.
    pub fn add_decision(&mut self, decision: &Decision) {
        let touch = decision.winner().and_then(|winner| winner.touch);
        touch.into_iter().for_each(|touch| push_new(&mut self.touches, touch));
    }

    /// Whether devices have to be looked through one by one: digests and links lead to none directly.
    #[must_use]
    pub fn needs_all_devices(&self) -> bool {
        !self.digests.is_empty() || !self.links.is_empty()
    }

    /// Whether a device is meant by a digest or a link.
    #[must_use]
    pub fn means(&self, device: &Device) -> bool {
        let linked = self.links.iter().any(|link| device.links.contains(link));
        linked
            || self.digests.iter().any(|digest| {
                let hashed = |id: &Identifier| forms(&id.value, digest.length());
                device.identifiers.iter().flat_map(hashed).any(|(_, form)| form == *digest)
            })
    }
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// A subject made ready to be looked for in the record.
#[derive(Clone, Debug, Default)]
pub struct Search {
    app: Option<AppId>,
    keys: HashSet<JoinKey>,
    installs: HashSet<(AppId, InstallId)>,
    others: HashSet<(AppId, InstallId)>,
    touches: HashSet<TouchId>,
    /// Values that are the subject's alone.
    needles: Vec<String>,
    /// Values that others may share.
    shared: Vec<String>,
}

impl Search {
    /// A search in one app, or with `None` in all.
    #[must_use]
    pub fn new(app: Option<AppId>, subject: &Subject) -> Self {
        let mut search = Self { app, ..Self::default() };
        for identifier in &subject.identifiers {
            search.keys.extend(keys_of(identifier));
            search.needle(&identifier.value);
            search.needle(&identifier.canonical());
        }
        for digest in &subject.digests {
            search.keys.insert(JoinKey::Digest(digest.clone()));
            search.needle(digest.as_str());
        }
        for id in &subject.kochava_ids {
            search.keys.insert(JoinKey::kochava(id));
            search.needle(id);
        }
        subject.links.iter().for_each(|(_, value)| search.needle(value));
        for (_, value) in &subject.links_found {
            let value = value.to_lowercase();
            if is_searched(&value) && !search.needles.contains(&value) {
                push_new(&mut search.shared, value);
            }
        }
        search.others.extend(&subject.others);
        search.installs.extend(subject.devices.iter().map(|(app, _, install)| (*app, *install)));
        search.touches.extend(&subject.touches);
        search
    }

    fn needle(&mut self, text: &str) {
        let text = text.to_lowercase();
        if is_searched(&text) {
            push_new(&mut self.needles, text);
        }
    }

    /// Whether the search covers an app; bodies of unknown apps are covered by account-wide searches.
    #[must_use]
    pub fn covers(&self, app: Option<AppId>) -> bool {
        self.app.is_none() || self.app == app
    }

    /// Whether a text holds one of the values: as it is, percent-encoded as in queries and forms, once or twice,
    /// or escaped as in JSON.
    #[must_use]
    pub fn occurs_in(&self, text: &str) -> bool {
        stands_in(text, &self.needles) || stands_in(text, &self.shared)
    }

    /// As [`Self::occurs_in`], for what may be joined to an install: a value that others share is not looked for
    /// in what is theirs.
    fn occurs_in_one_of(&self, theirs: bool, text: &str) -> bool {
        if theirs { stands_in(text, &self.needles) } else { self.occurs_in(text) }
    }

    /// Whether an input is one of the subject's: by what it is known by, or by its install, or because a
    /// value of the subject's stands somewhere in what was sent.
    #[must_use]
    pub fn owns(&self, fact: &Fact) -> bool {
        let input = &fact.input;
        let theirs = installs_of(fact).any(|install| self.others.contains(&(input.app, install)));
        self.covers(Some(input.app))
            && (traces(&input.payload).iter().any(|key| self.keys.contains(key))
                || self.touches.contains(&input.id.into())
                || self.installs.contains(&(input.app, input.id.into()))
                || fact.outcomes.iter().any(|outcome| self.is_own(input, outcome))
                || self.occurs_in_one_of(theirs, &input.body)
                || texts(&input.payload).into_iter().any(|text| self.occurs_in_one_of(theirs, text)))
    }

    /// Whether a fact tells of the subject at all, be it only in what the input of another brought about.
    #[must_use]
    pub fn finds(&self, fact: &Fact) -> bool {
        self.owns(fact) || fact.outcomes.iter().any(|outcome| self.is_about(fact.input.app, outcome))
    }

    /// An outcome that says that the input itself belongs to one of the installs.
    fn is_own(&self, input: &Input, outcome: &Outcome) -> bool {
        install_of(input, outcome).is_some_and(|install| self.installs.contains(&(input.app, install)))
    }

    fn is_about(&self, app: AppId, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Installed { install, .. }
            | Outcome::DuplicateInstall { install }
            | Outcome::Redecided { install, .. }
            | Outcome::EventLinked { install, .. }
            | Outcome::EventRedecided { install, .. }
            | Outcome::Applied { install, .. } => self.installs.contains(&(app, *install)),
            Outcome::Touched { .. }
            | Outcome::Held { .. }
            | Outcome::Counted { .. }
            | Outcome::UserChanged { .. }
            | Outcome::Ignored => false,
        }
    }

    /// Whether a delivery tells of the subject; `inputs` are those that were found to be its own.
    #[must_use]
    pub fn finds_delivery(&self, delivery: &Delivery, inputs: &BTreeSet<InputId>) -> bool {
        let is_of = |installs: &HashSet<_>| {
            delivery.install.is_some_and(|install| installs.contains(&(delivery.app, install)))
        };
        let theirs = is_of(&self.others);
        let found = |text: &str| self.occurs_in_one_of(theirs, text);
        self.covers(Some(delivery.app))
            && (inputs.contains(&delivery.conversion)
                || is_of(&self.installs)
                || requests(delivery).any(|request| {
                    found(&request.url)
                        || found(&request.body)
                        || request.headers.iter().any(|(_, value)| found(value))
                })
                || delivery.attempts.iter().any(|attempt| {
                    found(&attempt.response) || attempt.headers.iter().any(|(_, value)| found(value))
                }))
    }

    /// Whether a body in quarantine holds one of the values. Identifiers are masked in it, so it seldom does.
    #[must_use]
    pub fn finds_quarantined(&self, body: &Quarantined) -> bool {
        self.covers(body.app) && self.occurs_in(&body.body)
    }

    /// Every key that data of the subject could come with later.
    pub fn keys(&self) -> impl Iterator<Item = &JoinKey> {
        self.keys.iter()
    }

    /// What is left of a fact. It changes nothing where nothing tells of the subject.
    pub fn erase(&self, fact: &mut Fact) {
        let app = fact.input.app;
        if self.owns(fact) {
            erase_input(&mut fact.input);
            if let Payload::Engagement(click) = &mut fact.input.payload {
                // These stay, unless somebody has put a value of the subject's there.
                for kept in [&mut click.site_id, &mut click.sub_site_id, &mut click.creative_id] {
                    kept.take_if(|text| self.occurs_in(text));
                }
            }
            fact.outcomes.iter_mut().for_each(erase_outcome);
        }
        fact.outcomes.iter_mut().filter(|outcome| self.is_about(app, outcome)).for_each(erase_outcome);
    }
}

/// Whether a value is long enough to be looked for in texts.
fn is_searched(value: &str) -> bool {
    value.len() >= NEEDLE_BYTES_MIN
}

/// Whether one of some values stands in a text, however it is written.
fn stands_in(text: &str, needles: &[String]) -> bool {
    let stands = |text: &str| {
        let text = text.to_lowercase();
        needles.iter().any(|needle| text.contains(needle.as_str()))
    };
    if needles.is_empty() || !is_searched(text) {
        return false;
    }
    if stands(text) || text.contains('\\') && stands(&unescaped(text)) {
        return true;
    }
    let mut text = Cow::Borrowed(text);
    for _ in 0..ENCODED_TIMES {
        if !text.contains('%') && !text.contains('+') {
            return false;
        }
        text = Cow::Owned(decoded(&text));
        if stands(&text) {
            return true;
        }
    }
    false
}

/// The installs that an input itself belongs to.
fn installs_of(fact: &Fact) -> impl Iterator<Item = InstallId> {
    let input = &fact.input;
    let own = [InstallId::from(input.id)];
    own.into_iter().chain(fact.outcomes.iter().filter_map(|outcome| install_of(input, outcome)))
}

/// The install that an outcome says an input itself belongs to.
fn install_of(input: &Input, outcome: &Outcome) -> Option<InstallId> {
    match outcome {
        Outcome::DuplicateInstall { install } | Outcome::Installed { reprocess_for: Some(install), .. } => {
            Some(*install)
        }
        Outcome::EventLinked { input: of, install, .. } | Outcome::Applied { input: of, install } => {
            (*of == input.id).then_some(*install)
        }
        _ => None,
    }
}

/// Every key that an identifier leads to: itself, each of its digests, and of an IDFA the `kochava_device_id`
/// that it may have been sent as (see [`crate::identifier::stand_in`]).
#[must_use]
pub fn keys_of(identifier: &Identifier) -> Vec<JoinKey> {
    let lengths = [DigestLength::Md5, DigestLength::Sha1, DigestLength::Sha256];
    let digests = lengths.into_iter().flat_map(|length| forms(&identifier.value, length));
    let digests = digests.map(|(_, digest)| JoinKey::Digest(digest));
    let value = identifier.value.as_str();
    let sent = [value.to_owned(), value.to_ascii_lowercase(), value.to_ascii_uppercase()];
    let sent = sent.iter().filter(|_| identifier.kind == IdKind::Idfa).map(|id| JoinKey::kochava(id));
    [JoinKey::from(identifier)].into_iter().chain(digests).chain(sent).collect()
}

/// What an input is known by: whatever it is about.
#[must_use]
pub fn traces(payload: &Payload) -> Vec<JoinKey> {
    match payload {
        Payload::Engagement(engagement) => engagement.identifiers.iter().map(link_key).collect(),
        Payload::Claim(claim) => claim.identifiers.iter().map(link_key).collect(),
        Payload::Install(install) => install.origin.join_keys(),
        Payload::Event(event) => event.origin.join_keys(),
        Payload::Update(update) => {
            let identifiers = update.identifiers.iter().map(JoinKey::from);
            identifiers.chain([JoinKey::kochava(&update.kochava_device_id)]).collect()
        }
        Payload::Link(link) => link.join_keys(),
        Payload::Aggregate(_) | Payload::Ignored(_) => Vec::new(),
    }
}

fn link_key(identifier: &LinkIdentifier) -> JoinKey {
    match identifier {
        LinkIdentifier::Plain(plain) => plain.into(),
        LinkIdentifier::Hashed(_, digest) => JoinKey::Digest(digest.clone()),
    }
}

/// A text without the encoding of queries and forms.
fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

/// A JSON text without the escapes of its strings.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let digits = after.strip_prefix('u').and_then(|after| after.get(..4));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).and_then(char::from_u32);
        let (char, length) = match code {
            Some(char) => (Some(char), 5),
            None => (after.chars().next(), after.chars().next().map_or(0, char::len_utf8)),
        };
        out.extend(char);
        rest = after.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The texts of an input in which a sender may have put anything.
fn texts(payload: &Payload) -> Vec<&str> {
    fn values(params: &[(String, Value)]) -> Vec<&str> {
        params.iter().map(|(_, value)| value.text()).collect()
    }
    match payload {
        Payload::Engagement(click) => {
            let own = [&click.click_id, &click.site_id, &click.sub_site_id, &click.creative_id];
            let own = own.into_iter().flatten().map(String::as_str);
            let params = click.params.iter().map(|(_, value)| value.as_str());
            own.chain(params).chain([click.query.as_str()]).collect()
        }
        Payload::Install(install) => values(&install.params),
        Payload::Event(event) => [values(&event.params), values(&event.extra)].concat(),
        Payload::Claim(claim) => claim.params.iter().map(|(_, value)| value.as_str()).collect(),
        Payload::Update(_) | Payload::Link(_) | Payload::Aggregate(_) | Payload::Ignored(_) => Vec::new(),
    }
}

/// What is left of the make of a device.
fn erased_traits(traits: &Traits) -> Traits {
    Traits { os: traits.os.clone(), ..Traits::default() }
}

fn erase_origin(origin: &mut Origin) {
    *origin = Origin {
        traits: erased_traits(&origin.traits),
        app_version: origin.app_version.take(),
        country: origin.country.take(),
        ..Origin::default()
    };
}

/// Of the parameters of a link its price stays, as far as it is one.
fn erase_params(params: &mut Vec<(String, String)>) {
    let priced = bid(params).is_some();
    params.retain(|(name, value)| {
        priced && (name == "bid_type" || name == "bid_won" && value.trim().parse::<Decimal>().is_ok())
    });
}

fn erase_source(source: &mut Source) {
    source.click_id = None;
    erase_params(&mut source.params);
    source.query.clear();
}

/// What a rule saw may name an address, or where that is.
fn erase_findings(findings: &mut [Finding]) {
    const PLACES: [&str; 5] = ["ip", "city", "state", "postal", "dma"];
    findings.iter_mut().for_each(|finding| {
        finding.figures.retain(|(name, _)| !PLACES.contains(&name.as_str()));
    });
}

/// What an engagement looked like, hashed, tells whose it was to whoever can guess.
fn erase_candidates(candidates: &mut [Candidate]) {
    for candidate in candidates {
        candidate.content_key = 0;
        erase_findings(&mut candidate.fraud);
    }
}

/// What is left of a decision: everything but what the candidates looked like.
pub fn erase_decision(decision: &mut Decision) {
    erase_candidates(&mut decision.candidates);
}

fn erase_outcome(outcome: &mut Outcome) {
    match outcome {
        Outcome::Installed { source, .. } | Outcome::Redecided { source, .. } => {
            source.iter_mut().for_each(erase_source);
        }
        Outcome::EventLinked { source, decision, .. } | Outcome::EventRedecided { source, decision, .. } => {
            source.iter_mut().for_each(erase_source);
            decision.iter_mut().for_each(|decision| erase_candidates(&mut decision.candidates));
        }
        Outcome::Touched { findings, .. } => erase_findings(findings),
        Outcome::DuplicateInstall { .. }
        | Outcome::Applied { .. }
        | Outcome::Held { .. }
        | Outcome::Counted { .. }
        | Outcome::UserChanged { .. }
        | Outcome::Ignored => {}
    }
}

fn erase_engagement(engagement: &mut Engagement) {
    engagement.identifiers.clear();
    engagement.ip = None;
    engagement.user_agent = None;
    engagement.traits = erased_traits(&engagement.traits);
    engagement.place.anonymous = None;
    engagement.att = Att::default();
    engagement.click_id = None;
    erase_params(&mut engagement.params);
    engagement.query.clear();
}

fn erase_install(install: &mut Install) {
    erase_origin(&mut install.origin);
    if let Some(click) = &mut install.click {
        click.written.clear();
        click.raw.clear();
    }
    install.referrer = None;
    install.links.clear();
    install.params.clear();
}

fn erase_event(event: &mut Event) {
    erase_origin(&mut event.origin);
    event.params.clear();
    event.plain = None;
    event.extra.clear();
}

fn erase_input(input: &mut Input) {
    input.key = None;
    input.body_hash = [0; 16];
    input.body.clear();
    input.flags.insert(Flag::Erased);
    match &mut input.payload {
        Payload::Engagement(engagement) => erase_engagement(engagement),
        Payload::Install(install) => erase_install(install),
        Payload::Event(event) => erase_event(event),
        Payload::Claim(claim) => {
            claim.identifiers.clear();
            claim.claim_id = None;
            claim.params.clear();
        }
        Payload::Update(update) => *update = Update::default(),
        Payload::Link(link) => *link = IdentityLink::default(),
        Payload::Aggregate(_) | Payload::Ignored(_) => {}
    }
}

/// What is left of a device: that there was one, and what its install is credited to.
pub fn erase_device(device: &mut Device) {
    device.kochava_ids.clear();
    device.identifiers.clear();
    device.consent = Consent::default();
    device.traits = erased_traits(&device.traits);
    device.source.iter_mut().for_each(erase_source);
    device.links.clear();
    device.claims.clear();
    device.user = UserProperties::default();
    device.last_session = None;
    device.seen_events.clear();
    device.said = Said::default();
}

/// What is left of an install.
pub fn erase_record(record: &mut InstallRecord) {
    erase_install(&mut record.install);
    record.flags.insert(Flag::Erased);
}

/// Whether a delivery was erased before.
#[must_use]
pub fn is_erased(delivery: &Delivery) -> bool {
    delivery.request.url.ends_with(ERASED)
}

/// Everything that a delivery has sent or is to send.
fn requests(delivery: &Delivery) -> impl Iterator<Item = &Request> {
    [&delivery.request].into_iter().chain(delivery.earlier.iter().map(|earlier| &earlier.request))
}

/// What is left of a delivery: where it went, but for the path, and how that ended.
pub fn erase_delivery(delivery: &mut Delivery) {
    erase_request(&mut delivery.request);
    delivery.earlier.iter_mut().for_each(|earlier| erase_request(&mut earlier.request));
    for attempt in &mut delivery.attempts {
        attempt.headers.clear();
        if !attempt.response.is_empty() {
            attempt.response = ERASED.to_owned();
        }
    }
}

fn erase_request(request: &mut Request) {
    let url = &request.url;
    let host = url.find("://").map_or(0, |place| place + 3);
    let end = url.get(host..).and_then(|rest| rest.find(['/', '?', '#'])).map_or(url.len(), |end| host + end);
    // What stands before an `@` is a password.
    let from = url.get(host..end).and_then(|authority| authority.rfind('@')).map_or(host, |at| host + at + 1);
    let (scheme, authority) = (url.get(..host).unwrap_or_default(), url.get(from..end).unwrap_or_default());
    let url = format!("{scheme}{authority}/{ERASED}");
    *request = Request { method: request.method, url, ..Request::default() };
}

/// What is remembered of somebody whose data was erased, so that late data of theirs is refused: a salted
/// hash of one key, which tells nothing to whoever has no salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tombstone {
    /// The app; `None` is all apps.
    pub app: Option<AppId>,
    /// The first 16 bytes of SHA-256 over salt and key.
    pub hash: [u8; 16],
}

/// The hash of a key under a salt.
#[must_use]
pub fn tombstone(salt: &[u8; 32], key: &JoinKey) -> [u8; 16] {
    let mut hasher = Sha256::new();
    hasher.update(salt);
    match key {
        JoinKey::KochavaDeviceId(fingerprint) => {
            hasher.update([0]);
            hasher.update(fingerprint.0);
        }
        JoinKey::Identifier(fingerprint) => {
            hasher.update([1]);
            hasher.update(fingerprint.0);
        }
        JoinKey::Digest(digest) => {
            hasher.update([2]);
            hasher.update(digest.as_str());
        }
    }
    let mut short = [0; 16];
    for (to, from) in short.iter_mut().zip(hasher.finalize()) {
        *to = from;
    }
    short
}

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobKind {
    /// Erase everything.
    Scrub,
    /// Show everything.
    Access,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobState {
    /// It waits for its turn.
    Queued,
    /// It is looked for, and erased where it is found.
    Running,
    /// Everything is erased, but for older versions of records on disk.
    Erasing,
    /// Done.
    Completed,
}

impl JobState {
    /// The name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running | Self::Erasing => "running",
            Self::Completed => "completed",
        }
    }
}

/// A privacy request on its way. Once it is completed it names nobody any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its identifier.
    pub id: JobId,
    /// What it wants.
    pub kind: JobKind,
    /// The app; `None` is the whole account.
    pub app: Option<AppId>,
    /// When it came in.
    pub created: Timestamp,
    /// The key it came with.
    pub by: Option<KeyId>,
    /// How far it is.
    pub state: JobState,
    /// Whom it is about: as asked, then with everything that was found to belong to them.
    pub subject: Subject,
    /// Whether the devices were looked for.
    pub resolved: bool,
    /// The last fact to look at: later ones were refused.
    pub until: u64,
    /// The last fact looked at.
    pub done: u64,
    /// Devices found.
    pub devices: u64,
    /// Inputs found.
    pub inputs: u64,
    /// Deliveries found.
    pub deliveries: u64,
    /// Bodies found in quarantine.
    pub quarantined: u64,
    /// For an access request, the facts found, at most [`ACCESS_FACTS_MAX`].
    pub facts: Vec<u64>,
    /// When it was done.
    pub finished: Option<Timestamp>,
}

/// Facts that one access request lists.
pub const ACCESS_FACTS_MAX: usize = 10_000;
