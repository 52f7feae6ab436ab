//! Things to store, made from numbers.

use measure::{
    AppId, CampaignId, Decimal, DeliveryId, DeviceId, InputId, InstallId, NetworkId, SegmentId, Timestamp,
    TouchId, TrackerId, TriggerId,
    attribution::{Basis, Candidate, Decision, EventAction, EventDecision, LosingReason, Source},
    catalogue::{App, Change, Entry},
    cost::{CostDay, CostRow},
    device::{Device, Origin},
    engagement::{EngagementKind, MatchKey, Touch},
    event::{Event, Value},
    flag::Flag,
    fraud::{Figures, Finding, Mode, Rule, Verdict},
    identifier::{Digest, DigestLength, Fingerprint, IdKind, Identifier, JoinKey, forms},
    input::{Fact, Input, Outcome, Payload, Quarantined, Suppressed},
    install::{Install, InstallRecord},
    place::{Country, Place},
    policy::{AppPolicy, Level, Window},
    postback::{
        Attempt, CUSTOM_TEMPLATE, Delivery, DeliveryState, Method, Request, Sending, Suppression, Trigger,
        TriggerKind,
    },
    reengagement::Claim,
    skad::{AggregateCell, Framework, Signed},
    user::{Operation, Property, UserProperties},
};
use uuid::Uuid;

use crate::{DeliveryQuery, Settlement};

/// What an upload says about costs of network `n`.
#[must_use]
pub fn cost_day(app: AppId, day: i64, n: u64) -> CostDay {
    let row = CostRow {
        partner_campaign_id: Some(format!("p-{n}")),
        partner_campaign_name: None,
        creative_id: Some("banner".to_owned()),
        amount: Decimal::new(1_234, 2),
    };
    CostDay { app, day, network: NetworkId(n), uploaded: self::day(1), rows: vec![row] }
}

/// The app that most samples belong to.
pub const APP: AppId = AppId(1);
/// Another app.
pub const OTHER: AppId = AppId(256);

/// The time of day `day` after the epoch.
#[must_use]
pub const fn day(day: i64) -> Timestamp {
    Timestamp(day * measure::time::DAY_MS)
}

/// An input.
#[must_use]
pub const fn input(n: u128) -> InputId {
    InputId(Uuid::from_u128(n))
}

/// An install.
#[must_use]
pub const fn install_id(n: u128) -> InstallId {
    InstallId(Uuid::from_u128(n))
}

/// An event that a reengagement had a claim to.
#[must_use]
pub fn claim(n: u128) -> Claim {
    Claim { time: day(1), input: input(n), event: "Purchase".to_owned(), received: day(1), credited: true }
}

/// A decision on an event.
#[must_use]
pub fn event_decision(n: u128) -> EventDecision {
    EventDecision {
        action: EventAction::Install,
        reason: None,
        revision: 0,
        decided: day(1),
        catalogue: 3,
        association: Window::Seconds(86_400),
        association_from: Level::App,
        minimum_time: 3_600,
        last_attributed: Some(day(1)),
        candidates: decision(APP, n, 0).candidates,
        more: false,
        ambiguous: false,
        flags: [Flag::ClockSkew].into(),
    }
}

/// A device.
#[must_use]
pub const fn device_id(n: u128) -> DeviceId {
    DeviceId(Uuid::from_u128(n))
}

/// A touch.
#[must_use]
pub const fn touch_id(n: u128) -> TouchId {
    TouchId(Uuid::from_u128(n))
}

/// A delivery.
#[must_use]
pub const fn delivery_id(n: u128) -> DeliveryId {
    DeliveryId(Uuid::from_u128(n))
}

/// An identifier.
#[must_use]
pub fn identifier(n: u128) -> Identifier {
    Identifier { kind: IdKind::Adid, value: Uuid::from_u128(n).to_string() }
}

/// One of its digests.
#[must_use]
pub fn digest(n: u128) -> Digest {
    let lengths = [DigestLength::Md5, DigestLength::Sha1, DigestLength::Sha256];
    let mut forms = lengths.into_iter().cycle().skip((n % 3) as usize).take(1);
    let length = forms.next().unwrap_or(DigestLength::Md5);
    forms_of(n, length).unwrap()
}

fn forms_of(n: u128, length: DigestLength) -> Option<Digest> {
    Some(forms(&identifier(n).value, length).into_iter().next()?.1)
}

/// A join key: texts, identifiers and digests by turns.
#[must_use]
pub fn join_key(n: u128) -> JoinKey {
    match n % 3 {
        0 => JoinKey::kochava(&format!("KD{n}")),
        1 => JoinKey::Identifier(Fingerprint::from(&identifier(n))),
        _ => JoinKey::Digest(digest(n)),
    }
}

/// A match key: identifiers, digests, clicks and addresses by turns.
#[must_use]
pub fn match_key(n: u128) -> MatchKey {
    use measure::{engagement::IpKey, platform::Os};
    match n % 4 {
        0 => MatchKey::Identifier(Fingerprint::from(&identifier(n))),
        1 => MatchKey::Digest(digest(n)),
        2 => MatchKey::Click(touch_id(n)),
        _ => {
            let ip = std::net::Ipv4Addr::new(203, 0, 113, (n % 256) as u8);
            MatchKey::Modeled(IpKey(ip.into()), Os::Other(format!("os{n}")))
        }
    }
}

/// A touch at a time.
#[must_use]
pub fn touch(n: u128, time: Timestamp) -> Touch {
    Touch { findings: vec![finding()], ..bare_touch(n, time) }
}

fn bare_touch(n: u128, time: Timestamp) -> Touch {
    Touch {
        id: touch_id(n),
        kind: EngagementKind::Click,
        time,
        received: time.plus(5),
        tracker: Some(TrackerId(1)),
        network: NetworkId(2),
        campaign: Some(CampaignId(3)),
        segment: Some(SegmentId(4)),
        identifiers: vec![measure::engagement::LinkIdentifier::Plain(identifier(n))],
        ip: Some(std::net::IpAddr::from([203, 0, 113, 7]).into()),
        traits: measure::platform::Traits::default(),
        content_key: n as u64,
        completed_view: n.is_multiple_of(3),
        site: Some(9),
        findings: Vec::new(),
        claim: None,
        place: place(),
        ip_of_caller: false,
    }
}

/// What databases say of an address.
#[must_use]
pub fn place() -> Place {
    Place { has_countries: true, country: Country::named("NZ"), anonymous: Some(false) }
}

/// What a fraud rule saw.
#[must_use]
pub fn finding() -> Finding {
    Finding {
        rule: Rule::MinimumTimeToInstall,
        mode: Mode::Flag,
        level: Level::App,
        verdict: Verdict::Caught,
        figures: vec![("seconds".to_owned(), "3".to_owned())],
    }
}

/// What fraud rules count: an hour with some clicks, closed, and an open one with another.
#[must_use]
pub fn figures(n: u128) -> Figures {
    let mut figures = Figures::default();
    figures.sequence = n as u64;
    figures.advance(day(1));
    (0..12).for_each(|_| figures.count_touch(&bare_touch(n, day(1))));
    figures.advance(day(1).plus(measure::time::HOUR_MS));
    figures.count_touch(&bare_touch(n, day(1)));
    figures
}

/// A source.
#[must_use]
pub fn source(n: u128) -> Source {
    Source {
        touch: Some(touch_id(n)),
        kind: EngagementKind::Click,
        class: "device_id".to_owned(),
        time: day(1),
        network: NetworkId(2),
        campaign: Some(CampaignId(3)),
        segment: Some(SegmentId(4)),
        tracker: Some(TrackerId(5)),
        click_id: Some("abc".to_owned()),
        site_id: None,
        sub_site_id: None,
        creative_id: Some("banner".to_owned()),
        params: vec![("cp_0".to_owned(), "x".to_owned())],
        query: "campaign_id=t&cp_0=x".to_owned(),
        reengagement: false,
    }
}

/// A device.
#[must_use]
pub fn device(app: AppId, n: u128) -> Device {
    Device {
        id: device_id(n),
        app,
        kochava_ids: vec![format!("KD{n}")],
        identifiers: vec![identifier(n)],
        consent: measure::consent::Consent::default(),
        traits: measure::platform::Traits::default(),
        install: install_id(n),
        installed: day(1),
        install_received: day(1),
        source: Some(source(n)),
        links: vec![("email".to_owned(), "someone@example.com".to_owned())],
        claims: vec![claim(n)],
        user: user(),
        last_session: None,
        seen_events: vec![],
        said: measure::device::Said::default(),
    }
}

/// What is known of a user: a text and a list.
#[must_use]
pub fn user() -> UserProperties {
    let mut user = UserProperties::default();
    let text = |text: &str| Value::Text(text.to_owned());
    user.apply(&[
        Operation::Set("email".to_owned(), Property::one(text("someone@example.com"))),
        Operation::Append("likes".to_owned(), Property::list([text("ski"), text("chess")])),
    ]);
    user
}

/// What a sender says of a device.
#[must_use]
pub fn origin(n: u128) -> Origin {
    Origin {
        kochava_device_id: Some(format!("KD{n}")),
        identifiers: vec![identifier(n)],
        ip: Some([203, 0, 113, 9].into()),
        user_agent: Some("Mozilla/5.0".to_owned()),
        country: Some("NZ".to_owned()),
        place: place(),
        ..Origin::default()
    }
}

/// A fact.
#[must_use]
pub fn fact(sequence: u64) -> Fact {
    let n = u128::from(sequence);
    Fact {
        sequence,
        input: Input {
            id: input(n),
            via: measure::source::Via::default(),
            received: day(1),
            app: APP,
            catalogue: 3,
            key: None,
            body_hash: [7; 16],
            body: "{}".to_owned(),
            flags: [Flag::IpMissing].into(),
            payload: Payload::Event(Event {
                origin: origin(n),
                time: day(1),
                name: "Purchase".to_owned(),
                amount: Some(Decimal::new(-1999, 2)),
                currency: Some("EUR".to_owned()),
                params: vec![("sku".to_owned(), Value::Number("1.50".to_owned()))],
                ..Event::default()
            }),
        },
        outcomes: vec![Outcome::EventLinked {
            input: input(n),
            install: install_id(1),
            source: Some(source(1)),
            suppressed: vec![Suppressed { trigger: TriggerId(8), reason: Suppression::OtherNetwork }],
            installed: Some(day(1)),
            decision: Some(Box::new(event_decision(n))),
        }],
    }
}

/// An install.
#[must_use]
pub fn install(app: AppId, n: u128) -> InstallRecord {
    InstallRecord {
        id: install_id(n),
        app,
        device: device_id(n),
        received: day(1),
        catalogue: 3,
        install: Install { origin: origin(n), time: day(1), ..Install::default() },
        flags: [Flag::UaMissing].into(),
        reprocess_for: Some(install_id(1)),
        last_installed: Some(day(0)),
    }
}

/// A decision.
#[must_use]
pub fn decision(app: AppId, n: u128, revision: u32) -> Decision {
    Decision {
        app,
        install: install_id(n),
        revision,
        decided: day(1),
        catalogue: 3,
        candidates: vec![Candidate {
            touch: Some(touch_id(n)),
            kind: EngagementKind::Impression,
            basis: Basis::Identifier { kind: "adid".to_owned(), form: None },
            rank: 4,
            network: NetworkId(2),
            campaign: Some(CampaignId(3)),
            segment: None,
            tracker: Some(TrackerId(5)),
            time: day(1),
            age_ms: 17,
            window: Window::Seconds(86_400),
            window_from: Level::Default,
            flags: [Flag::ClockSkew].into(),
            content_key: 11,
            lost: Some(LosingReason::OlderClick),
            fraud: vec![finding()],
            site: Some(9),
        }],
        more: true,
        ambiguous: false,
        flags: [Flag::SharedClick].into(),
        figures: [(touch_id(n), figures(n).of(&touch(n, day(1))))].into(),
        reported: None,
    }
}

/// A pending delivery.
#[must_use]
pub fn delivery(n: u128, due: Timestamp) -> Delivery {
    Delivery {
        id: delivery_id(n),
        app: APP,
        trigger: TriggerId(8),
        trigger_version: 2,
        conversion: input(n),
        install: Some(install_id(n % 3)),
        revision: 0,
        network: Some(NetworkId(2)),
        request: Request {
            method: Method::Post,
            url: format!("https://partner.example.com/postback?n={n}"),
            content_type: Some("application/json".to_owned()),
            body: "{}".to_owned(),
            success_match: None,
            headers: vec![],
        },
        state: DeliveryState::Pending,
        reason: None,
        created: due,
        due,
        attempts_allowed: 4,
        attempts: Vec::new(),
        sent_as: None,
        attempts_before: 0,
        planned_paused: false,
        earlier: vec![],
    }
}

/// An attempt that was answered.
#[must_use]
pub fn attempt(number: u32, status: u16) -> Attempt {
    Attempt {
        number,
        started: day(2),
        elapsed_ms: 12,
        status: Some(status),
        error: (status >= 300).then(|| "http".to_owned()),
        response: "ok".to_owned(),
        connect_ms: (number == 1).then_some(3),
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
    }
}

/// A settlement after one attempt.
#[must_use]
pub fn settlement(n: u128, fence: u64, state: DeliveryState, reason: Option<&str>) -> Settlement {
    let status = if state == DeliveryState::Delivered { 200 } else { 500 };
    Settlement {
        delivery: delivery_id(n),
        fence,
        attempt: Some(attempt(1, status)),
        state,
        reason: reason.map(str::to_owned),
        due: day(3),
    }
}

/// Where aggregate postbacks of a window are counted.
#[must_use]
pub fn aggregate_cell(window: u8) -> AggregateCell {
    AggregateCell {
        framework: Framework::SkAdNetwork,
        signed: Signed::Production,
        network: "com.example".to_owned(),
        source: "5239".to_owned(),
        window,
        won: true,
    }
}

/// A quarantined body.
#[must_use]
pub fn quarantined(app: Option<AppId>, n: u128, received: Timestamp) -> Quarantined {
    Quarantined {
        id: input(n),
        received,
        app,
        app_guid: "kosample".to_owned(),
        path: "/track/json".to_owned(),
        status: 400,
        reason: "not JSON".to_owned(),
        body: "{".repeat(20),
    }
}

/// A change of the catalogue.
#[must_use]
pub fn change(version: u64) -> Change {
    let app = App {
        id: APP,
        guid: "kosample".to_owned(),
        name: format!("Sample {version}"),
        platform: "iOS".to_owned(),
        referrer: measure::referrer::ReferrerKeys::default(),
        schemes: Vec::new(),
        auth: measure::catalogue::InstallAuth::default(),
        policy: AppPolicy::default(),
        created: day(1),
        updated: day(1),
        deleted: false,
        extra: "{}".to_owned(),
        minimum_times: [("Purchase".to_owned(), 3_600)].into(),
        browser: measure::catalogue::BrowserSettings::default(),
    };
    Change { version, at: day(1), by: None, entry: Entry::App(app) }
}

/// All deliveries, at most `limit`.
#[must_use]
pub fn query(limit: usize) -> DeliveryQuery {
    DeliveryQuery { limit, ..DeliveryQuery::default() }
}

/// The change that deletes a trigger.
#[must_use]
pub fn trigger_deleted(version: u64, trigger: TriggerId) -> Change {
    trigger_changed(version, Trigger { deleted: true, ..bare_trigger(trigger) })
}

/// The change that pauses or resumes a trigger.
#[must_use]
pub fn trigger_paused(version: u64, trigger: TriggerId, paused: bool) -> Change {
    let sending = Sending { paused, ..Sending::default() };
    trigger_changed(version, Trigger { sending, ..bare_trigger(trigger) })
}

fn trigger_changed(version: u64, trigger: Trigger) -> Change {
    Change { version, at: day(2), by: None, entry: Entry::Trigger(trigger) }
}

fn bare_trigger(id: TriggerId) -> Trigger {
    Trigger {
        id,
        version: 3,
        app: APP,
        kind: TriggerKind::Install,
        title: String::new(),
        template: CUSTOM_TEMPLATE,
        filter: None,
        active: true,
        context: Vec::new(),
        created: day(1),
        deleted: false,
        sending: Sending::default(),
    }
}
