//! The bodies that calls take, for the description of the interface. Handlers read them field by field and
//! keep what is not listed, so these types are never made.
#![expect(dead_code, reason = "they describe bodies; nothing makes one")]

use serde_json::Value;
use utoipa::ToSchema;

/// An app, or what shall change of it.
#[derive(ToSchema)]
pub struct AppBody {
    /// Its name; required to make one.
    #[schema(example = "Sky Boots")]
    pub name: Option<String>,
    /// The platform as the incumbent spells it; required to make one.
    #[schema(example = "Android")]
    pub platform: Option<String>,
    /// What senders call it (`kochava_app_id`); made up when absent, and never changed.
    #[schema(example = "kosky-boots-1")]
    pub guid: Option<String>,
    /// Install authentication.
    pub install_auth: Option<InstallAuthBody>,
    /// Settings by their dotted names (docs/attribution.md, docs/fraud.md); `null` gives one back to the server's.
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Value>,
}

/// What shall change of a network within an app.
#[derive(ToSchema)]
pub struct AppNetworkBody {
    /// Windows and fraud rules by their dotted names (docs/attribution.md, docs/fraud.md); `null` gives one back to
    /// the next level.
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Value>,
}

/// Install authentication of an app.
#[derive(ToSchema)]
pub struct InstallAuthBody {
    /// `off`, `flag` or `strict`.
    #[schema(example = "flag")]
    pub mode: Option<String>,
    /// The key that senders name in `Kochava-Api-Key`; made up when absent.
    pub api_key: Option<String>,
    /// The shared secret; made up when absent, and shown once.
    pub secret: Option<String>,
    /// The actions it covers; absent is all.
    pub actions: Option<Vec<String>>,
}

/// A network, or what shall change of it.
#[derive(ToSchema)]
pub struct NetworkBody {
    /// Its name; required to make one.
    #[schema(example = "Example Network")]
    pub name: Option<String>,
    /// How it writes macros in links: parameter and macro. Others are written `{parameter}`.
    #[schema(value_type = Option<Object>, example = json!({ "click_id": "%%CLICK_ID%%" }))]
    pub link_macros: Option<Value>,
    /// Windows and fraud settings by their dotted names.
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Value>,
}

/// A source, or what shall change of it.
#[derive(ToSchema)]
pub struct SourceBody {
    /// `s2s`, `web`, `segment` or `amplitude`; required to make one.
    #[schema(example = "segment")]
    pub kind: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// `enabled` or `disabled`.
    pub status: Option<String>,
    /// What its senders name it by; one is made when none is given.
    pub key: Option<String>,
    /// What its webhooks are signed with; one is made when none is given.
    pub secret: Option<String>,
    /// Which streams are taken: `installs`, `events`.
    #[schema(value_type = Option<Object>)]
    pub streams: Option<Value>,
    /// How its calls become ours (docs/sources.md); fields that are named replace those that were there.
    #[schema(value_type = Option<Object>)]
    pub mapping: Option<Value>,
}

/// A campaign to make or, with `id`, to change.
#[derive(ToSchema)]
pub struct CampaignBody {
    /// The campaign to change; absent makes one.
    pub id: Option<String>,
    /// Its name; required to make one.
    #[schema(example = "Spring")]
    pub name: Option<String>,
    /// A label of its own: links lead where their trackers say.
    pub destination_url: Option<String>,
    /// Who made it.
    #[schema(example = "api")]
    pub source: Option<String>,
}

/// A segment to make or, with `id`, to change.
#[derive(ToSchema)]
pub struct SegmentBody {
    /// The segment to change; absent makes one.
    pub id: Option<String>,
    /// Its name; required to make one.
    #[schema(example = "DE")]
    pub name: Option<String>,
    /// Who made it.
    #[schema(example = "api")]
    pub source: Option<String>,
}

/// A tracker, or what shall change of it.
#[derive(ToSchema)]
pub struct TrackerBody {
    /// The tracker to change; not given to make one.
    pub id: Option<String>,
    /// Its name.
    #[schema(example = "DE video")]
    pub name: Option<String>,
    /// Its network.
    #[schema(example = "1001")]
    pub network_id: Option<String>,
    /// Its campaign.
    #[schema(example = "1")]
    pub campaign_id: Option<String>,
    /// Its segment.
    #[schema(example = "1")]
    pub tier_id: Option<String>,
    /// Where a click leads; may hold `{key}` placeholders filled from the link.
    #[schema(example = "https://play.google.com/store/apps/details?id=com.example.skyboots")]
    pub destination_url: Option<String>,
    /// What kind of destination that is: `{"type": "google_referrer"}` and the like.
    #[schema(value_type = Option<Object>)]
    pub destination_data: Option<Value>,
    /// The verifier of its traffic (docs/fraud.md).
    #[schema(value_type = Option<Object>)]
    pub verification_rules: Option<Value>,
}

/// A trigger to make.
#[derive(ToSchema)]
pub struct TriggerBody {
    /// Its app.
    #[schema(example = 1)]
    pub app_id: u64,
    /// `install`, `event` or `click`.
    #[schema(rename = "type", example = "install")]
    pub r#type: String,
    /// Its title.
    pub title: Option<String>,
    /// The template: 3373 is any URL.
    #[schema(example = 3373)]
    pub template_id: u64,
    /// The event it is about; absent or empty is every event.
    pub filter_str: Option<String>,
    /// Whether it sends; off unless said otherwise.
    pub active: Option<bool>,
    /// The inputs of the template, and how to deliver. Keys that are not known are kept.
    #[schema(value_type = Object)]
    pub context: Value,
}

/// What shall change of a trigger.
#[derive(ToSchema)]
pub struct TriggerChange {
    /// Its title.
    pub title: Option<String>,
    /// Whether it sends.
    pub active: Option<bool>,
    /// Merged by key; `null` takes a key out.
    #[schema(value_type = Option<Object>)]
    pub context: Option<Value>,
}

/// What shall change of an event name. Several go under `events`, a list of the same.
#[derive(ToSchema)]
pub struct EventChange {
    /// The name, exactly as it is sent.
    #[schema(example = "Purchase")]
    pub name: Option<String>,
    /// Whether postbacks tell of such events; `null` is yes.
    pub active: Option<bool>,
    /// Whether their amounts are revenue; `null` is yes.
    pub is_revenue: Option<bool>,
    /// Several changes at once, at most 1000.
    #[schema(value_type = Option<Vec<Object>>)]
    pub events: Option<Value>,
}

/// A member, or what shall change of it.
#[derive(ToSchema)]
pub struct MemberBody {
    /// Its name; required to make one.
    #[schema(example = "Sam")]
    pub name: Option<String>,
    /// What it may do, by the names of the incumbent; required to make one.
    #[schema(example = "Campaign Admin")]
    pub role: Option<String>,
    /// A label; nothing is sent there.
    #[schema(example = "sam@example.com")]
    pub email: Option<String>,
    /// The apps it may do that with; empty is the whole account.
    pub apps: Option<Vec<u64>>,
}

/// A management key, or what shall change of it.
#[derive(ToSchema)]
pub struct KeyBody {
    /// What it is for; required to make one.
    #[schema(example = "CI")]
    pub name: Option<String>,
    /// Whether it may change things; off unless given.
    pub write: Option<bool>,
    /// The apps it reaches; empty is the whole account.
    pub apps: Option<Vec<u64>>,
    /// Whose it is: it can do no more than this member. Cannot be changed.
    pub member_id: Option<u64>,
}

/// Under what the stored history shall be decided again (docs/what-if.md).
#[derive(ToSchema)]
pub struct WhatIfBody {
    /// Settings of the app, as `PATCH /apps/{id}` takes them.
    #[schema(value_type = Option<Object>)]
    pub settings: Option<Value>,
    /// Networks by their numbers, each with `settings` as `PATCH /networks/{id}` takes them, or `settings_in_app` as
    /// `PATCH /apps/{app}/networks/{network}` takes them.
    #[schema(value_type = Option<Object>)]
    pub networks: Option<Value>,
    /// Trackers of the app by their numbers, each with `tracker_overrides` as `POST /tracker/override` takes them, or
    /// `verification_rules`.
    #[schema(value_type = Option<Object>)]
    pub trackers: Option<Value>,
    /// Installs received from here on: a time, or seconds since 1970. Absent: as far back as the record goes.
    #[schema(example = "2026-01-01T00:00:00Z")]
    pub from: Option<String>,
    /// Installs received before this. Absent: all.
    #[schema(example = "2026-02-01T00:00:00Z")]
    pub to: Option<String>,
}

/// Whom a privacy request is about: one device or identity link at least, a hundred at most.
#[derive(ToSchema)]
pub struct PrivacyBody {
    /// Devices by their identifiers.
    pub device_ids: Option<Vec<DeviceIdBody>>,
    /// Devices by the identity links that they have.
    pub identity_links: Option<Vec<IdentityLinkBody>>,
    /// A contact; nothing is sent there, and it is not kept.
    #[schema(example = "dpo@example.com")]
    pub email: Option<String>,
}

/// A device in a privacy request.
#[derive(ToSchema)]
pub struct DeviceIdBody {
    /// The kind of the identifier; `kochava_device_id` is one.
    #[schema(example = "adid")]
    pub id_type: String,
    /// The identifier, plain or hashed.
    #[schema(example = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed")]
    pub id_value: String,
}

/// An identity link in a privacy request.
#[derive(ToSchema)]
pub struct IdentityLinkBody {
    /// The name of the link.
    #[schema(example = "user_id")]
    pub name: String,
    /// Its value.
    #[schema(example = "u-42")]
    pub value: String,
}
