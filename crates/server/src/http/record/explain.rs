//! Why an install or an event was decided as it was, as data and in plain sentences
//! (tracking-and-attribution.md section 18).

use std::collections::{BTreeMap, BTreeSet};

use axum::{Json, extract::State};
use measure::{
    AppId, InputId, InstallId, Timestamp, TouchId,
    attribution::{
        Attributed, Candidate, Decision, EventAction, EventDecision, Miss, Question, Source, Unattributed,
        explain, explain_event, horizon, match_keys, named_too_late, nearest, unseen,
    },
    catalogue::Catalogue,
    device::Origin,
    engagement::{EngagementKind, Touch},
    event::Event,
    flag::{Flag, Flags},
    fraud::{Mode, Rule},
    identifier::{DigestLength, IdKind, Identifier, JoinKey},
    input::{Fact, Outcome, Payload},
    install::InstallRecord,
    policy::{Addresses, TOUCH_RETENTION_MS},
    time::DAY_MS,
};
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Ask, Store, StoreError};

use super::{
    super::asked::{Path, Query},
    attribution::{Decided, NO_INSTALL, candidate, in_full, seconds},
    events,
    inputs::{app, source},
    iso,
};
use crate::{auth::Caller, clock, error::Error, http::openapi::Refusals, site::Site};

/// How long after an organic install engagements are still told of as misses.
const AFTER_MS: i64 = DAY_MS;
/// Misses listed.
const MISSES_MAX: usize = 64;
/// The kinds of identifier that a device is looked for under when the caller names none.
const KINDS: [&str; 12] = [
    "idfa",
    "adid",
    "android_id",
    "idfv",
    "fire_adid",
    "rida",
    "device_id",
    "imei",
    "mac",
    "odin",
    "openudid",
    "custom",
];

/// How a device is asked for.
#[derive(Debug, Deserialize)]
pub(in crate::http) struct DeviceQuery {
    /// The kind of the identifier, when it is one.
    id_type: Option<String>,
}

/// What an explanation is made of, read in one go.
struct Material {
    decided: Decided,
    /// When the settings of the decision came into force.
    settings_since: Option<Timestamp>,
    /// Engagements that match and that the decision does not list, for an organic install.
    unseen: Vec<Miss>,
    /// What consent removed from engagements that were looked at.
    removed: BTreeMap<TouchId, Flag>,
}

#[utoipa::path(
    get, path = "/api/installs/{id}/explain", tag = "record",
    params(("id" = String, Path, description = "the id of the install, `ins_…`")),
    responses((status = 200, description = "the decision, as data and in sentences", body = Value), Refusals),
    operation_id = "explain_install",
)]
pub(in crate::http) async fn install(
    State(site): State<Site>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    let id: InstallId = id.parse().map_err(|error| Error::BadRequest(format!("install: {error}")))?;
    // The install is named by the input that made it, and that one knows its app.
    let fact = site.ask(move |store| store.fact(id.into())).await?;
    let (fact, _) = fact.ok_or(Error::NotFound("install"))?;
    caller.may_read(fact.input.app)?;
    of_install(&site, fact.input.app, id, Error::NotFound("install: this input is none, or a duplicate"))
        .await
}

/// By `kochava_device_id`, install or identifier.
#[utoipa::path(
    get, path = "/api/apps/{id}/devices/{device}/explain", tag = "record",
    params(("id" = u64, Path, description = "the number of the app"), ("device" = String, Path, description = "`kochava_device_id`, the id of the install, or an identifier"), ("id_type" = Option<String>, Query, description = "the kind of the identifier: `adid`, `idfa`, …; absent: every known kind")),
    responses((status = 200, description = "the decision on the install of the device, as data and in sentences", body = Value), Refusals),
    operation_id = "explain_device",
)]
pub(in crate::http) async fn device(
    State(site): State<Site>,
    caller: Caller,
    Path((id, device)): Path<(String, String)>,
    Query(query): Query<DeviceQuery>,
) -> Result<Json<Value>, Error> {
    let app = app(&site, &id)?;
    caller.may_read(app)?;
    let found = site.ask(move |store| find(store, app, &device, query.id_type.as_deref())).await?;
    of_install(&site, app, found.ok_or(NO_INSTALL)?, NO_INSTALL).await
}

/// The install of a device, by whatever names it.
pub(super) fn find(
    store: &dyn Store,
    app: AppId,
    device: &str,
    kind: Option<&str>,
) -> Result<Option<InstallId>, StoreError> {
    let kinds: Vec<&str> = kind.map_or_else(|| KINDS.to_vec(), |kind| vec![kind]);
    let identifiers = kinds.into_iter().filter_map(|kind| Identifier::new(IdKind::named(kind), device));
    let named = kind.is_none().then(|| JoinKey::kochava(device));
    for key in named.into_iter().chain(identifiers.map(|identifier| JoinKey::from(&identifier))) {
        if let Some(device) = store.device(app, &key)? {
            return Ok(Some(device.install));
        }
    }
    Ok(device.parse().ok())
}

async fn of_install(
    site: &Site,
    app: AppId,
    install: InstallId,
    missing: Error,
) -> Result<Json<Value>, Error> {
    let material = site.ask(move |store| gather(store, app, install)).await?.ok_or(missing)?;
    Ok(Json(shown(&site.catalogue.current(), &material)))
}

fn gather(store: &dyn Store, app: AppId, install: InstallId) -> Result<Option<Material>, StoreError> {
    let Some(mut decided) = Decided::find(store, app, install)? else { return Ok(None) };
    let Decided { record, decision, .. } = &decided;
    let (then, settings_since) = catalogue_at(store, decision.catalogue)?;
    let is_organic = decision.winner().is_none();
    let touches = if is_organic { around(store, record, &then)? } else { Vec::new() };
    let question = Question {
        record,
        touches: &touches,
        more: false,
        credited: &BTreeSet::new(),
        figures: &decision.figures,
        catalogue: &then,
        revision: decision.revision,
        decided: decision.decided,
    };
    let unseen = if is_organic {
        unseen(&question, decision)
    } else {
        named_too_late(&question).into_iter().collect()
    };
    let removed = recall(store, &mut decided.decision.candidates)?;
    Ok(Some(Material { decided, settings_since, unseen, removed }))
}

/// What facts still know of candidates: adds the rules that let them pass when they came in, which no decision
/// holds, and gives what consent removed from them.
fn recall(store: &dyn Store, candidates: &mut [Candidate]) -> Result<BTreeMap<TouchId, Flag>, StoreError> {
    let mut removed = BTreeMap::new();
    for candidate in candidates {
        let Some(touch) = candidate.touch else { continue };
        let Some((fact, _)) = store.fact(touch.into())? else { continue };
        removed.extend(dropped(&fact.input.flags).map(|flag| (touch, flag)));
        let seen = fact.outcomes.into_iter().flat_map(|outcome| match outcome {
            Outcome::Touched { findings, .. } => findings,
            _ => Vec::new(),
        });
        for finding in seen {
            if !candidate.fraud.iter().any(|known| known.rule == finding.rule) {
                candidate.fraud.push(finding);
            }
        }
        candidate.fraud.sort_by_key(|finding| finding.rule);
    }
    Ok(removed)
}

/// The catalogue as it was at a version, and when that came into force.
fn catalogue_at(store: &dyn Store, version: u64) -> Result<(Catalogue, Option<Timestamp>), StoreError> {
    let mut catalogue = Catalogue::default();
    let mut since = None;
    for change in store.changes()?.into_iter().take_while(|change| change.version <= version) {
        since = Some(change.at);
        catalogue.apply(change);
    }
    Ok((catalogue, since))
}

/// What is still remembered of the engagements that share a match key with an install, up to
/// [`AFTER_MS`] after it.
fn around(store: &dyn Store, record: &InstallRecord, then: &Catalogue) -> Result<Vec<Touch>, StoreError> {
    let lengths: BTreeSet<DigestLength> = store
        .digest_lengths()?
        .into_iter()
        .filter(|(app, ..)| *app == record.app)
        .map(|(_, length, _)| length)
        .collect();
    let policy = then.app(record.app).map_or(then.policy, |app| then.policy_of(app));
    let until = horizon(record.install.time, &policy).plus(AFTER_MS);
    let every = Addresses { whole: true, partial: true };
    let touches =
        match_keys(&record.install, &lengths, every).into_iter().map(|key| (record.app, key, until));
    let context = store.context(&Ask { touches: touches.collect(), ..Ask::default() })?;
    let since = record.install.time.plus(-TOUCH_RETENTION_MS);
    let touches = context.touches.into_values().flat_map(|(touches, _)| touches);
    Ok(touches.filter(|touch| touch.time >= since).collect())
}

fn shown(catalogue: &Catalogue, material: &Material) -> Value {
    let Material { decided, settings_since, unseen, removed } = material;
    let Decided { record, decision, earlier, device } = decided;
    let mut in_full = in_full(catalogue, record, decision);
    if let Some(fields) = in_full.as_object_mut() {
        fields.shift_remove("explanation");
    }
    let misses: Vec<Miss> =
        nearest(decision).into_iter().chain(unseen.iter().cloned()).take(MISSES_MAX).collect();
    let kochava_id = device.as_ref().and_then(|device| device.kochava_ids.first());
    json!({
        "install_id": record.id.to_string(),
        "app_id": record.app,
        "kochava_device_id": kochava_id.or(record.install.origin.kochava_device_id.as_ref()),
        "received": iso(record.received),
        "decision": in_full,
        "nearest_misses": misses.iter().map(|miss| missed(catalogue, miss)).collect::<Vec<_>>(),
        "consent": consent(&record.id.to_string(), &record.install.origin, &record.flags, removed),
        "fraud": fraud(decision),
        "settings": { "version": decision.catalogue, "in_force_since": settings_since.map(iso) },
        "revisions": earlier.iter().chain([decision]).map(|one| revision(catalogue, one)).collect::<Vec<_>>(),
        "explanation": sentences(catalogue, material),
    })
}

fn missed(catalogue: &Catalogue, miss: &Miss) -> Value {
    let mut row = candidate(catalogue, &miss.candidate);
    if let Some(fields) = row.as_object_mut() {
        fields.insert("missed".to_owned(), miss.how.name().into());
        fields.insert("missed_by_seconds".to_owned(), miss.how.by_ms().map(seconds).into());
        fields.insert("sentence".to_owned(), miss.sentence(catalogue).into());
    }
    row
}

/// One revision in short: the last one is in force.
fn revision(catalogue: &Catalogue, decision: &Decision) -> Value {
    let winner = decision.winner();
    let network = winner.and_then(|winner| catalogue.network(winner.network));
    json!({
        "revision": decision.revision,
        "decided": iso(decision.decided),
        "settings_version": decision.catalogue,
        "class": decision.class(),
        "network_id": winner.map(|winner| winner.network.to_string()),
        "network": network.map(|network| network.name.clone()),
        "click_id": winner.and_then(|winner| winner.touch).map(|touch| touch.to_string()),
    })
}

/// What consent took from an input.
fn dropped(flags: &Flags) -> Option<Flag> {
    flags.iter().copied().find(|flag| matches!(flag, Flag::IdfaDroppedAttMissing | Flag::IdfaDroppedAttFalse))
}

const fn why_dropped(flag: Flag) -> &'static str {
    match flag {
        Flag::IdfaDroppedAttFalse => "tracking was refused (att: false)",
        _ => "iOS 14 or later came without att: true",
    }
}

/// What the user allowed, as an install or event tells, and what was removed for it.
fn consent(of: &str, origin: &Origin, flags: &Flags, removed: &BTreeMap<TouchId, Flag>) -> Value {
    let consent = &origin.consent;
    let row = |of: String, flag: Flag| json!({ "of": of, "what": "idfa", "why": flag.name() });
    let own = dropped(flags).map(|flag| row(of.to_owned(), flag));
    let others = removed.iter().map(|(touch, flag)| row(touch.to_string(), *flag));
    json!({
        "att": consent.att.flag,
        "limit_ad_tracking": consent.limit_tracking,
        "gdpr_applies": consent.gdpr_applies,
        "ad_user_data": consent.ad_user_data,
        "ad_personalization": consent.ad_personalization,
        "removed": own.into_iter().chain(others).collect::<Vec<_>>(),
    })
}

/// The rules that looked, by rule: at how many candidates, how many of them each caught or could not judge.
/// What each saw in each candidate stands with the candidate.
fn fraud(decision: &Decision) -> Vec<Value> {
    let mut rules: BTreeMap<(Rule, Mode), (usize, usize, usize)> = BTreeMap::new();
    for finding in decision.candidates.iter().flat_map(|candidate| &candidate.fraud) {
        let (looked, caught, unknown) = rules.entry((finding.rule, finding.mode)).or_default();
        *looked += 1;
        *caught += usize::from(finding.is_caught());
        *unknown += usize::from(!finding.is_caught() && finding.verdict != measure::fraud::Verdict::Passed);
    }
    let row = |((rule, mode), (looked, caught, unknown)): ((Rule, Mode), _)| {
        json!({
            "rule": rule.name(), "mode": mode.name(), "looked_at": looked, "caught": caught,
            "could_not_judge": unknown,
        })
    };
    rules.into_iter().map(row).collect()
}

fn sentences(catalogue: &Catalogue, material: &Material) -> Vec<String> {
    let Material { decided: Decided { record, decision, .. }, settings_since, unseen, removed } = material;
    let mut sentences = explain(decision, catalogue);
    let told = nearest(decision).len();
    let misses = unseen.iter().take(MISSES_MAX.saturating_sub(told));
    sentences.extend(misses.map(|miss| miss.sentence(catalogue)));
    sentences.extend(removals("install", &record.flags, removed));
    if decision.candidates.is_empty() {
        sentences.push("No fraud rule looked: there was no click or impression to look at.".to_owned());
    } else if decision.candidates.iter().all(|candidate| candidate.fraud.is_empty()) {
        sentences
            .push("No fraud rule looked: none was on for what was found, or none is about it.".to_owned());
    }
    let since = settings_since.map(|since| format!(", in force since {}", super::super::rfc3339(since)));
    sentences.push(format!(
        "This is revision {} of the decision, made under version {} of the settings{}.",
        decision.revision,
        decision.catalogue,
        since.unwrap_or_default()
    ));
    sentences
}

/// What consent removed from the install or event that is explained, and from what was looked at for it.
fn removals(what: &str, flags: &Flags, removed: &BTreeMap<TouchId, Flag>) -> Vec<String> {
    let own = dropped(flags).map(|flag| {
        format!(
            "Consent: the {what}'s IDFA was dropped before anything was stored, because {}; nothing could \
             match by it.",
            why_dropped(flag)
        )
    });
    let others = removed.iter().map(|(touch, flag)| {
        format!("Consent: the IDFA of {touch} was dropped when it came in, because {}.", why_dropped(*flag))
    });
    own.into_iter().chain(others).collect()
}

#[utoipa::path(
    get, path = "/api/events/{id}/explain", tag = "record",
    params(("id" = String, Path, description = "what `Sextant-Input` said of the event, `in_…`")),
    responses((status = 200, description = "where the event belongs and what it inherited, as data and in sentences", body = Value), Refusals),
    operation_id = "explain_event",
)]
pub(in crate::http) async fn event(
    State(site): State<Site>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Error> {
    let id: InputId = id.parse().map_err(|error| Error::BadRequest(format!("event: {error}")))?;
    let found = site
        .ask(move |store| {
            let Some((fact, released)) = store.fact(id)? else { return Ok(None) };
            let released = match released {
                Some(sequence) => store.facts(sequence, 1)?.pop(),
                None => None,
            };
            Ok(Some((fact, released)))
        })
        .await?;
    let (fact, released) = found.ok_or(Error::NotFound("event"))?;
    let app = fact.input.app;
    caller.may_read(app)?;
    let Payload::Event(event) = fact.input.payload.clone() else {
        return Err(Error::NotFound("event: the input of this id is none"));
    };
    let mut linked = linked(&fact, released.as_ref());
    // The last fact that tells of it may be one that decided it again.
    let is_mine =
        |outcome: &Outcome| matches!(outcome, Outcome::EventLinked { input, .. } if *input == fact.input.id);
    let released_by = released.as_ref().filter(|released| released.outcomes.iter().any(is_mine));
    let install = linked.as_ref().map(|linked| linked.install);
    let keys = event.origin.join_keys();
    let mut candidates = linked.as_mut().and_then(Linked::candidates).map(std::mem::take).unwrap_or_default();
    let (decided, joined_by, candidates, removed) = site
        .ask(move |store| {
            let Some(install) = install else { return Ok((None, None, candidates, BTreeMap::new())) };
            let mut joined_by = None;
            for key in keys {
                if store.device(app, &key)?.is_some_and(|device| device.install == install) {
                    joined_by = Some(key);
                    break;
                }
            }
            let removed = recall(store, &mut candidates)?;
            Ok((Decided::find(store, app, install)?, joined_by, candidates, removed))
        })
        .await?;
    if let Some(place) = linked.as_mut().and_then(Linked::candidates) {
        *place = candidates;
    }
    let catalogue = site.catalogue.current();
    let joined_by = joined_by.and_then(|key| name(&event, &key));
    let from = linked.as_ref().and_then(|linked| linked.source.clone());
    let attributed = attributed(&event, linked.as_ref());
    let attribution = events::attribution(&catalogue, &attributed);
    let state = match &linked {
        None => "no_install",
        Some(_) => match (attributed.action(), attributed.reason()) {
            (EventAction::Reengagement, _) => "reengagement",
            (EventAction::Install, _) => "install_source",
            (_, Some(Unattributed::OutsideEventAssociation)) => "unattributed",
            _ => "organic",
        },
    };
    Ok(Json(json!({
        "input_id": fact.input.id.to_string(),
        "app_id": app,
        "name": event.name,
        "time": iso(event.time),
        "received": iso(fact.input.received),
        "flags": fact.input.flags.iter().map(|flag| flag.name()).collect::<Vec<_>>(),
        "decision": {
            "basis": state,
            "install_id": install.map(|install| install.to_string()),
            "joined_by": joined_by,
            "released_by": released_by.map(|fact| fact.input.id.to_string()),
            "source": source(&from),
            "settings_version": linked.as_ref().map_or(fact.input.catalogue, |linked| linked.under),
        },
        "attribution": attribution,
        "consent": consent(&fact.input.id.to_string(), &event.origin, &fact.input.flags, &removed),
        "install": decided.as_ref().map(|decided| revision(&catalogue, &decided.decision)),
        "explanation": told(&catalogue, &Told { fact: &fact, event: &event, released: released_by, joined_by, linked, removed, now: clock::now() }),
    })))
}

/// The install that an event belongs to and the source that it inherited, if it found one.
fn linked(fact: &Fact, released: Option<&Fact>) -> Option<Linked> {
    let outcomes = [Some(fact), released].into_iter().flatten().flat_map(|told| {
        let under = told.input.catalogue;
        told.outcomes.iter().map(move |outcome| (outcome, under))
    });
    outcomes.rev().find_map(|(outcome, under)| match outcome {
        Outcome::EventLinked { input, install, source, installed, decision, .. }
        | Outcome::EventRedecided { input, install, source, installed, decision, .. }
            if *input == fact.input.id =>
        {
            let (install, source, installed) = (*install, source.clone(), *installed);
            Some(Linked { install, source, installed, decision: decision.clone(), under })
        }
        _ => None,
    })
}

/// An event that is joined to an install.
struct Linked {
    install: InstallId,
    source: Option<Source>,
    installed: Option<Timestamp>,
    decision: Option<Box<EventDecision>>,
    /// The version of the settings at the input that brought it about.
    under: u64,
}

impl Linked {
    /// The engagements that were looked at for it, where there was something to decide.
    fn candidates(&mut self) -> Option<&mut Vec<Candidate>> {
        self.decision.as_mut().map(|decision| &mut decision.candidates)
    }
}

fn attributed<'a>(event: &'a Event, linked: Option<&'a Linked>) -> Attributed<'a> {
    let source = linked.and_then(|linked| linked.source.as_ref());
    let decision = linked.and_then(|linked| linked.decision.as_deref());
    // An install on record before its time stood with its events still is one.
    let installed = linked.map(|linked| linked.installed.unwrap_or(event.time));
    events::attributed(event, installed, source, decision)
}

/// What a join key is called: `kochava_device_id`, or the kind of identifier.
fn name(event: &Event, key: &JoinKey) -> Option<String> {
    if matches!(key, JoinKey::KochavaDeviceId(_)) {
        return Some("kochava_device_id".to_owned());
    }
    let mut identifiers = event.origin.identifiers.iter();
    identifiers.find(|id| JoinKey::from(*id) == *key).map(|id| id.kind.name().to_owned())
}

/// What the sentences about an event are made of.
struct Told<'a> {
    fact: &'a Fact,
    event: &'a Event,
    released: Option<&'a Fact>,
    joined_by: Option<String>,
    linked: Option<Linked>,
    removed: BTreeMap<TouchId, Flag>,
    now: Timestamp,
}

fn told(catalogue: &Catalogue, told: &Told<'_>) -> Vec<String> {
    let mut sentences = belonging(catalogue, told);
    sentences.extend(removals("event", &told.fact.input.flags, &told.removed));
    sentences
}

/// Where an event belongs, in sentences.
fn belonging(catalogue: &Catalogue, told: &Told<'_>) -> Vec<String> {
    let Told { fact, event, released, joined_by, linked, now, .. } = told;
    let mut sentences = Vec::new();
    let Some(linked) = linked else {
        let policy = catalogue.app(fact.input.app).map_or(catalogue.policy, |app| catalogue.policy_of(app));
        sentences.push(if event.origin.join_keys().is_empty() {
            "The event carries neither a kochava_device_id nor a usable identifier, so it belongs to no \
             install."
                .to_owned()
        } else if *now < fact.input.received.plus(policy.hold_ms) {
            format!(
                "The event belongs to no install yet: none of its device was on record when it came. It still \
                 waits for one that comes within {} seconds of it (ingest.hold).",
                seconds(policy.hold_ms)
            )
        } else {
            format!(
                "The event belongs to no install: none of its device was on record when it came, nor has one \
                 come within {} seconds (ingest.hold).",
                seconds(policy.hold_ms)
            )
        });
        return sentences;
    };
    let Linked { install, source, decision, .. } = linked;
    let by = joined_by.as_ref().map(|name| format!(", found by its {name}")).unwrap_or_default();
    sentences.push(format!("The event {} belongs to the install {install}{by}.", event.name));
    if let Some(released) = released {
        let waited = seconds(released.input.received.since(fact.input.received));
        sentences.push(format!("It came before its install and waited {waited} seconds for it."));
    }
    if decision.is_some() {
        sentences.extend(explain_event(&attributed(event, Some(linked)), catalogue));
        return sentences;
    }
    sentences.push(match source {
        None => "The install was organic then, so the event is not attributed.".to_owned(),
        Some(source) => {
            let network = catalogue.network(source.network).map(|network| network.name.clone());
            let kind = match source.kind {
                EngagementKind::Click => "a click",
                EngagementKind::Impression => "an impression",
            };
            format!(
                "It inherits the source of the install: {kind} of {}, matched as {}.",
                network.unwrap_or_else(|| format!("network {}", source.network)),
                source.class
            )
        }
    });
    sentences
}
