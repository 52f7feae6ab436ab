//! The audit log: every change that was ever made, from the history of the catalogue. Nothing is written
//! for it, so it cannot disagree with what is in force.

use std::collections::{BTreeMap, BTreeSet};

use axum::{Json, extract::State};
use measure::{
    KeyId, TemplateId, Timestamp,
    catalogue::{Catalogue, Change, Entry, Sealed},
    fraud::{Blocked, Listing, Scope},
    postback::Template,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    auth::Caller,
    error::Error,
    http::{
        app_networks, apps,
        asked::Query,
        campaigns, costs, fraud, networks,
        openapi::Refusals,
        postbacks::{self, secrets},
        record::{
            iso,
            masking::{self, MASK},
            rows,
        },
        sources, tiers, trackers,
    },
    site::Site,
};

/// A field whose name holds one of these words is a secret, as is what [`masking`] takes for one. Context keys
/// of triggers are in users' hands.
const SECRET_WORDS: [&str; 6] = ["secret", "password", "token", "authorization", "api_key", "apikey"];
/// Entries of a blocklist that one change shows; an import may have a hundred thousand.
const LISTINGS_SHOWN: usize = 100;
/// Fields whose names only look as if they held a secret. The `key` of a source is what its senders, browsers
/// too, name it by.
const NO_SECRETS: [&str; 3] =
    ["attribution.referrer_click_id_key", "attribution.referrer_campaign_id_key", "key"];

/// How the log is asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Asked {
    /// Of this kind of thing.
    kind: Option<String>,
    /// Of this thing.
    id: Option<String>,
    /// Made with this key.
    key: Option<u64>,
    /// At this time or later, RFC 3339 or epoch seconds.
    since: Option<String>,
    /// Before this time.
    until: Option<String>,
    limit: Option<usize>,
    /// Older than this version.
    page_token: Option<u64>,
}

/// `GET /api/audit?kind=&id=&key=&since=&until=&limit=&pageToken=`: newest first.
#[utoipa::path(
    get, path = "/api/audit", tag = "team",
    params(("kind" = Option<String>, Query, description = "only of this kind of thing"), ("id" = Option<String>, Query, description = "only of this thing"), ("key" = Option<u64>, Query, description = "only with this key"), ("since" = Option<String>, Query, description = "at this time or later"), ("until" = Option<String>, Query, description = "before this time"), ("limit" = Option<u32>, Query, description = "rows of a page, 1 to 1000"), ("pageToken" = Option<String>, Query, description = "what `nextToken` of the page before said")),
    responses((status = 200, description = "a page of changes, newest first", body = Value), Refusals),
    operation_id = "audit_list",
)]
pub(in crate::http) async fn list(
    State(site): State<Site>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Error> {
    caller.may_read_account()?;
    let limit = rows(asked.limit)?;
    let since = asked.since.as_deref().map(|text| moment("since", text)).transpose()?;
    let until = asked.until.as_deref().map(|text| moment("until", text)).transpose()?;
    if asked.kind.as_deref().is_some_and(|kind| !KINDS.contains(&kind)) {
        return Err(Error::BadRequest(format!("kind: must be one of {}", KINDS.join(", "))));
    }
    let changes = site.ask(|store| store.changes()).await?;
    let wanted = |change: &Change| {
        let (kind, id) = name(&change.entry);
        asked.kind.as_deref().is_none_or(|wanted| wanted == kind)
            && asked.id.as_deref().is_none_or(|wanted| wanted == id)
            && asked.key.is_none_or(|key| change.by == Some(KeyId(key)))
            && since.is_none_or(|since| change.at >= since)
            && until.is_none_or(|until| change.at < until)
            && asked.page_token.is_none_or(|last| change.version < last)
    };
    let mut found: Vec<usize> = (0..changes.len()).rev().filter(|place| wanted(&changes[*place])).collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|place| changes[*place].version.to_string());
    let before = before(&changes, &found);
    let catalogue = site.catalogue.current();
    let data: Vec<Value> =
        found.iter().map(|place| row(&site, &catalogue, &changes[*place], before.get(place))).collect();
    Ok(Json(json!({ "data": data, "nextToken": next })))
}

/// Every kind of thing that changes.
const KINDS: [&str; 16] = [
    "settings",
    "app",
    "network",
    "campaign",
    "segment",
    "tracker",
    "trigger",
    "key",
    "fraud",
    "blocklist",
    "member",
    "source",
    "template",
    "event",
    "app_network",
    "costs",
];

/// The kind and the number of what an entry changes.
fn name(entry: &Entry) -> (&'static str, String) {
    match entry {
        Entry::Policy(_) => ("settings", String::new()),
        Entry::App(app) => ("app", app.id.to_string()),
        Entry::Network(network) => ("network", network.id.to_string()),
        Entry::Campaign(campaign) => ("campaign", campaign.id.to_string()),
        Entry::Segment(segment) => ("segment", segment.id.to_string()),
        Entry::Tracker(tracker) => ("tracker", tracker.id.to_string()),
        Entry::Trigger(trigger) => ("trigger", trigger.id.to_string()),
        Entry::Key(key) => ("key", key.id.to_string()),
        Entry::Fraud(Scope::App(app), _) => ("fraud", format!("app {app}")),
        Entry::Fraud(Scope::Network(network), _) => ("fraud", format!("network {network}")),
        Entry::Fraud(Scope::Tracker(tracker), _) => ("fraud", format!("tracker {tracker}")),
        Entry::Fraud(Scope::NetworkInApp(app, network), _) => {
            ("fraud", format!("app {app} network {network}"))
        }
        Entry::Blocklist(_) => ("blocklist", String::new()),
        Entry::Member(member) => ("member", member.id.to_string()),
        Entry::Source(source) => ("source", source.id.to_string()),
        Entry::Templates(_) => ("template", String::new()),
        Entry::Event(app, name, _) => ("event", format!("{app} {name}")),
        Entry::AppNetwork(own) => ("app_network", format!("app {} network {}", own.app, own.network)),
        Entry::Costs(upload) => ("costs", format!("app {}", upload.app)),
    }
}

/// For the changes at `found`, the same thing as it was before; lists are followed entry by entry.
fn before(changes: &[Change], found: &[usize]) -> BTreeMap<usize, Entry> {
    let found: BTreeSet<usize> = found.iter().copied().collect();
    let mut latest: BTreeMap<(&'static str, String), &Entry> = BTreeMap::new();
    let mut listed: BTreeMap<&Blocked, &Listing> = BTreeMap::new();
    let mut templates: BTreeMap<TemplateId, &Template> = BTreeMap::new();
    let mut before = BTreeMap::new();
    for (place, change) in changes.iter().enumerate() {
        let wanted = found.contains(&place);
        match &change.entry {
            Entry::Costs(_) => {}
            Entry::Blocklist(listings) => {
                let known = listings.iter().filter_map(|listing| listed.insert(&listing.what, listing));
                let known: Vec<Listing> = known.filter(|known| wanted && !known.removed).cloned().collect();
                if !known.is_empty() {
                    before.insert(place, Entry::Blocklist(known));
                }
            }
            Entry::Templates(changed) => {
                let known = changed.iter().filter_map(|template| templates.insert(template.id, template));
                let known: Vec<Template> = known.filter(|_| wanted).cloned().collect();
                if !known.is_empty() {
                    before.insert(place, Entry::Templates(known));
                }
            }
            entry => {
                if let Some(earlier) = latest.insert(name(entry), entry).filter(|_| wanted) {
                    before.insert(place, earlier.clone());
                }
            }
        }
    }
    before
}

fn row(site: &Site, catalogue: &Catalogue, change: &Change, before: Option<&Entry>) -> Value {
    let (kind, id) = name(&change.entry);
    let (mut after, mut before) =
        (plain(site, catalogue, &change.entry), before.map(|entry| plain(site, catalogue, entry)));
    // A new secret is a change, though it is shown like the old one.
    let changed = before.as_ref().map(|before| changed("", before, &after)).unwrap_or_default();
    hide(catalogue, &change.entry, &mut after);
    before.iter_mut().for_each(|before| hide(catalogue, &change.entry, before));
    if let Entry::Costs(upload) = &change.entry {
        before = (upload.before.0 > 0).then(|| costs::recorded(upload).0);
    }
    let gone = |value: &Value| value["deleted"] == true || value["revoked"] == true;
    let unlisted = |entry: &Entry| match entry {
        Entry::Blocklist(listings) => listings.iter().all(|listing| listing.removed),
        _ => false,
    };
    let action = match &before {
        _ if unlisted(&change.entry) => "deleted",
        _ if gone(&after) && !before.as_ref().is_some_and(gone) => "deleted",
        Some(_) => "changed",
        None => "created",
    };
    let by = change.by.map(|key| {
        let held = catalogue.keys().find(|known| known.id == key);
        let member = held.and_then(|key| key.member).and_then(|id| catalogue.member(id));
        json!({
            "key_id": key, "key_name": held.map(|key| key.name.as_str()),
            "member_id": member.map(|member| member.id), "member_name": member.map(|member| member.name.as_str()),
        })
    });
    json!({
        "version": change.version, "at": iso(change.at), "by": by, "kind": kind, "id": id,
        "action": action, "changed": changed, "before": before, "after": after,
    })
}

/// Masks the secrets of a thing.
fn hide(catalogue: &Catalogue, entry: &Entry, shown: &mut Value) {
    if let (Entry::Trigger(trigger), Some(context)) = (entry, shown.get_mut("context")) {
        secrets::hide(catalogue, trigger, context, false);
    }
    mask(shown);
}

/// A thing as its own interface shows it, but with its secrets: sealed ones as they are stored.
fn plain(site: &Site, catalogue: &Catalogue, entry: &Entry) -> Value {
    let mut shown = match entry {
        Entry::Policy(policy) => json!(policy),
        Entry::App(app) => apps::object(app, sealed(app.auth.secret.as_ref()).as_deref()),
        Entry::Network(network) => networks::object(network),
        Entry::Campaign(campaign) => campaigns::object(campaign, None),
        Entry::Segment(segment) => tiers::object(segment),
        Entry::Tracker(tracker) => {
            let mut shown = trackers::object(site, catalogue, tracker);
            shown["overrides"] = trackers::overrides::recorded(tracker);
            shown
        }
        Entry::Trigger(trigger) => postbacks::plain(trigger),
        Entry::Key(key) => super::keys::object(key),
        Entry::Fraud(_, settings) => {
            let mut names = fraud::names(settings);
            let key = sealed(settings.signing_key.as_ref());
            names.extend(key.map(|key| (fraud::SIGNING_KEY.to_owned(), key.into())));
            Value::Object(names)
        }
        Entry::Blocklist(listings) => {
            let row = |listing: &Listing| {
                let mut row = fraud::blocklist::row(listing);
                row["removed"] = listing.removed.into();
                row
            };
            let first: Vec<Value> = listings.iter().take(LISTINGS_SHOWN).map(row).collect();
            json!({ "count": listings.len(), "entries": first })
        }
        Entry::Member(member) => super::members::object(member),
        Entry::Source(source) => sources::object(source, sealed(source.secret.as_ref()).as_deref()),
        Entry::Templates(templates) => {
            templates.iter().map(|template| json!({ "id": template.id, "name": template.name })).collect()
        }
        Entry::Event(_, name, switches) => {
            json!({ "name": name, "active": switches.active, "is_revenue": switches.is_revenue })
        }
        Entry::AppNetwork(own) => app_networks::recorded(own),
        Entry::Costs(upload) => costs::recorded(upload).1,
    };
    let deleted = match entry {
        Entry::Campaign(campaign) => campaign.deleted,
        Entry::Segment(segment) => segment.deleted,
        Entry::Tracker(tracker) => tracker.deleted,
        Entry::Trigger(trigger) => trigger.deleted,
        Entry::Source(source) => source.deleted,
        _ => false,
    };
    if deleted {
        shown["deleted"] = true.into();
    }
    shown
}

/// A sealed secret, to be compared with another one.
fn sealed(secret: Option<&Sealed>) -> Option<String> {
    secret.map(|Sealed(bytes)| format!("{bytes:?}"))
}

/// Masks every secret that is set.
fn mask(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let lower = name.to_ascii_lowercase();
                let named = SECRET_WORDS.iter().any(|word| lower.contains(word)) || masking::is_secret(name);
                let secret = named && !NO_SECRETS.contains(&name.as_str());
                if secret && matches!(value, Value::String(_) | Value::Number(_)) {
                    *value = MASK.into();
                } else {
                    mask(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(mask),
        Value::String(text) if text.contains("://") => *text = masking::url(text),
        _ => {}
    }
}

/// The fields whose values differ, by their paths.
fn changed(prefix: &str, before: &Value, after: &Value) -> Vec<String> {
    let (Value::Object(before), Value::Object(after)) = (before, after) else { return Vec::new() };
    let mut names: Vec<&String> = after.keys().collect();
    names.extend(before.keys().filter(|name| !after.contains_key(*name)));
    let mut differ = Vec::new();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        if old == new {
            continue;
        }
        match (old, new) {
            (Some(old @ Value::Object(_)), Some(new @ Value::Object(_))) => {
                differ.extend(changed(&format!("{prefix}{name}."), old, new));
            }
            _ => differ.push(format!("{prefix}{name}")),
        }
    }
    differ
}

/// A point in time: RFC 3339, or seconds since 1970.
fn moment(name: &str, text: &str) -> Result<Timestamp, Error> {
    let text = text.trim();
    let seconds = text.parse::<i64>().ok().map(Timestamp::from_seconds);
    let written = || text.parse::<jiff::Timestamp>().ok().map(|time| Timestamp(time.as_millisecond()));
    seconds.or_else(written).ok_or_else(|| {
        Error::BadRequest(format!("{name}: must be a time such as 2025-10-09T08:53:20Z, or epoch seconds"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{changed, mask, moment};

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let mut value = json!({
            "name": "x", "install_auth": { "secret": "s", "api_key": "k", "mode": "flag" },
            "context": { "cpi_mostback_url": "https://u:p@partner.example.com/pb?a={b}", "Authorization": "b",
                         "cpi_partner_write_key": "w" },
            "settings": { "fraud.click_validation.key": "***" }, "list": [{ "access_token": "t" }], "secret": null,
            "attribution.referrer_click_id_key": "cid", "key": "named by senders",
        });
        mask(&mut value);
        let expected = json!({
            "name": "x", "install_auth": { "secret": "***", "api_key": "***", "mode": "flag" },
            "context": { "cpi_mostback_url": "https://u:***@partner.example.com/pb?a={b}", "Authorization": "***",
                         "cpi_partner_write_key": "***" },
            "settings": { "fraud.click_validation.key": "***" }, "list": [{ "access_token": "***" }], "secret": null,
            "attribution.referrer_click_id_key": "cid", "key": "named by senders",
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn changed_fields_are_named_by_their_paths() {
        let before = json!({ "a": 1, "b": { "c": 2, "d": 3 }, "gone": 4 });
        let after = json!({ "a": 1, "b": { "c": 9, "d": 3 }, "new": 5 });
        assert_eq!(changed("", &before, &after), ["b.c", "new", "gone"]);
    }

    #[test]
    fn times_are_read_in_both_forms() {
        assert_eq!(moment("since", "1760000000").unwrap().0, 1_760_000_000_000);
        assert_eq!(moment("since", "2025-10-09T08:53:20Z").unwrap().0, 1_760_000_000_000);
        assert!(moment("since", "yesterday").is_err());
    }
}
