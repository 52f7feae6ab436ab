//! Every template of the catalogue, rendered: `partners/cases/<name>.txt` holds for each kind of conversion
//! that a template tells of the context of a trigger and the request that has to come out, byte for byte.
//!
//! `PARTNERS_BLESS=1` writes requests that are missing or have changed: read them before you commit them.

use std::{collections::BTreeSet, fs, path::PathBuf};

use measure::{
    AppId, CampaignId, DeviceId, InputId, InstallId, NetworkId, SegmentId, Timestamp, TouchId, TrackerId,
    TriggerId,
    attribution::Source,
    catalogue::{Campaign, Catalogue, Change, DestinationKind, Entry, Network, Segment},
    consent::Consent,
    device::{Device, Origin},
    engagement::{Engagement, EngagementKind, LinkIdentifier},
    event::{Event, Value},
    identifier::{IdKind, Identifier},
    platform::{Os, Traits},
    policy::Windows,
    postback::{Conversion, Method, Past, Request, Template, Trigger, TriggerKind, plan},
};
use uuid::Uuid;
use wire::partner::parse;

use crate::world::{app, tracker};

const NETWORK: NetworkId = NetworkId(1001);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../partners")
}

/// The names of the files with this ending, without it.
fn names(folder: PathBuf, ending: &str) -> BTreeSet<String> {
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files.filter_map(|file| Some(file.ok()?.file_name().to_str()?.strip_suffix(ending)?.to_owned())).collect()
}

fn template(name: &str) -> Template {
    let file = format!("{name}.toml");
    let text = fs::read_to_string(folder().join(&file)).unwrap();
    parse(&file, &text).unwrap_or_else(|error| panic!("{error}"))
}

/// What a case says: the kind of conversion, the context, and the request.
struct Case<'c> {
    kind: TriggerKind,
    head: &'c str,
    context: Vec<(String, Value)>,
    expected: &'c str,
}

fn cases(text: &str) -> Vec<Case<'_>> {
    let sections = text.split("====\n").filter(|section| !section.trim().is_empty());
    sections
        .map(|section| {
            let (head, expected) = section.split_once("---\n").unwrap_or((section, ""));
            let (kind, context) = head.split_once('\n').unwrap_or((head, ""));
            let kind = match kind {
                "install" => TriggerKind::Install,
                "event" => TriggerKind::Event,
                "click" => TriggerKind::Click,
                other => panic!("{other} is no kind of conversion"),
            };
            let context = context.lines().filter(|line| !line.is_empty()).map(|line| {
                let (key, value) = line.split_once(" = ").unwrap_or_else(|| panic!("{line}"));
                (key.to_owned(), Value::Text(value.to_owned()))
            });
            Case { kind, head, context: context.collect(), expected: expected.trim_end_matches('\n') }
        })
        .collect()
}

#[test]
fn every_template_renders_as_its_case_says() {
    let bless = std::env::var_os("PARTNERS_BLESS").is_some();
    for name in names(folder(), ".toml") {
        let template = template(&name);
        let file = folder().join(format!("cases/{name}.txt"));
        let text = fs::read_to_string(&file)
            .unwrap_or_else(|_| panic!("{name}.toml has no partners/cases/{name}.txt: nothing renders it"));
        let cases = cases(&text);
        let told: BTreeSet<_> = cases.iter().map(|case| case.kind.name()).collect();
        let kinds: BTreeSet<_> = template.kinds.iter().map(|kind| kind.name()).collect();
        assert_eq!(told, kinds, "the cases of {name} and the kinds of its template");
        let mut blessed = Vec::new();
        for case in cases {
            let request = rendered(&template, case.kind, &case.context)
                .unwrap_or_else(|reason| panic!("{name}, {}: {reason}", case.kind.name()));
            if request.content_type.as_deref() == Some("application/json") {
                let body: Result<serde_json::Value, _> = serde_json::from_str(&request.body);
                assert!(body.is_ok(), "{name}: {}", request.body);
            }
            let written = written(&request);
            if !bless {
                assert_eq!(written, case.expected, "{name}, {}", case.kind.name());
            }
            blessed.push(format!("{}---\n{written}\n", case.head));
        }
        if bless {
            fs::write(&file, blessed.join("====\n")).unwrap();
        }
    }
}

#[test]
fn no_case_is_left_without_its_template() {
    let (templates, cases) = (names(folder(), ".toml"), names(folder().join("cases"), ".txt"));
    assert_eq!(cases.difference(&templates).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(templates.len() >= 25, "{} templates", templates.len());
}

#[test]
fn numbers_and_names_are_given_once() {
    let templates: Vec<Template> = names(folder(), ".toml").iter().map(|name| template(name)).collect();
    let ids: BTreeSet<_> = templates.iter().map(|template| template.id).collect();
    let names: BTreeSet<_> = templates.iter().map(|template| &template.name).collect();
    assert_eq!((ids.len(), names.len()), (templates.len(), templates.len()));
}

#[test]
fn what_comes_out_empty_is_left_out_where_the_file_says_so() {
    let sent = |omit_empty: bool| {
        let file = format!(
            "id = 1\nname = \"x\"\n[request]\nmethod = \"POST\"\nurl = \"https://a.example/\"\n\
             omit_empty = {omit_empty}\n[request.query]\na = \"{{click_id}}\"\nb = \"{{event_value}}\"\n\
             [request.form]\nc = \"{{revenue}}\"\nd = \"{{event_name}}\"\n"
        );
        let template = parse("x.toml", &file).unwrap();
        let request = rendered(&template, TriggerKind::Install, &[]).unwrap();
        format!("{} {}", request.url, request.body)
    };
    assert_eq!(sent(true), "https://a.example/?a=clk%2F1 d=_install");
    assert_eq!(sent(false), "https://a.example/?a=clk%2F1&b= c=&d=_install");
}

/// What a template makes of a conversion of everything there is, or why it makes nothing.
fn rendered(template: &Template, kind: TriggerKind, context: &[(String, Value)]) -> Result<Request, String> {
    let mut catalogue = Catalogue::default();
    let network = template.network.unwrap_or(NETWORK);
    let trigger = Trigger {
        id: TriggerId(1),
        version: 1,
        app: AppId(1),
        kind,
        title: "t".to_owned(),
        template: template.id,
        filter: None,
        active: true,
        context: context.to_vec(),
        created: Timestamp(0),
        deleted: false,
        sending: Default::default(),
    };
    let mut tracker = tracker(DestinationKind::Custom, "");
    (tracker.network, tracker.name) = (network, "Tracker".to_owned());
    let entries = [
        Entry::App(app("iOS")),
        Entry::Network(Network {
            id: network,
            name: "Gopher & Co".to_owned(),
            windows: Windows::default(),
            created: Timestamp(0),
            deleted: false,
            extra: String::new(),
        }),
        Entry::Campaign(Campaign {
            id: CampaignId(2),
            app: AppId(1),
            name: "Spring \"26\"".to_owned(),
            created: Timestamp(0),
            deleted: false,
            extra: String::new(),
        }),
        Entry::Segment(Segment {
            id: SegmentId(3),
            app: AppId(1),
            campaign: CampaignId(2),
            name: "DE".to_owned(),
            created: Timestamp(0),
            deleted: false,
            extra: String::new(),
        }),
        Entry::Tracker(tracker),
        Entry::Templates(vec![template.clone()]),
        Entry::Trigger(trigger),
    ];
    for (version, entry) in (1..).zip(entries) {
        catalogue.apply(Change { version, at: Timestamp(0), by: None, entry });
    }
    let (origin, event, click) = (origin(), event(), click(network));
    let (device, source) = (device(&origin), source(network));
    let is_click = kind == TriggerKind::Click;
    let app = app("iOS");
    let plan = plan(&Conversion {
        kind,
        input: InputId(Uuid::from_u128(11)),
        decided: Timestamp(1_760_100_000_000),
        revision: 0,
        app: &app,
        catalogue: &catalogue,
        install: (!is_click).then_some(InstallId(Uuid::from_u128(12))),
        installed: (!is_click).then_some(Timestamp(1_760_090_000_000)),
        origin: (!is_click).then_some(&origin),
        flags: &Default::default(),
        device: (!is_click).then_some(&device),
        event: (kind == TriggerKind::Event).then_some(&event),
        click: is_click.then_some((&click, TouchId(Uuid::from_u128(13)))),
        source: (!is_click).then_some(&source),
        influencers: &[],
        duplicate: false,
        told: &[],
        past: Past::default(),
    });
    match (plan.deliveries.into_iter().next(), plan.suppressed.first()) {
        (Some(delivery), _) => Ok(delivery.request),
        (None, Some(suppressed)) => Err(suppressed.reason.name().to_owned()),
        (None, None) => Err("does not match".to_owned()),
    }
}

fn written(request: &Request) -> String {
    let method = match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let mut lines = vec![format!("{method} {}", request.url)];
    lines.extend(request.headers.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.extend(request.content_type.iter().map(|kind| format!("content-type: {kind}")));
    lines.extend(request.success_match.iter().map(|text| format!("succeeds with: {text}")));
    if !request.body.is_empty() {
        lines.push(String::new());
        lines.push(request.body.clone());
    }
    lines.join("\n")
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn origin() -> Origin {
    Origin {
        kochava_device_id: text("SX-0001"),
        identifiers: vec![
            Identifier::new(IdKind::Idfa, "7C9E6679-7425-40DE-944B-E07FC1F90AE7").unwrap(),
            Identifier::new(IdKind::Idfv, "3D5F0B1E-6C2A-4F0E-9B7A-1C2D3E4F5A6B").unwrap(),
        ],
        ip: Some("203.0.113.24".parse().unwrap()),
        user_agent: text("Mozilla/5.0 (iPhone)"),
        traits: Traits { os: Some(Os::Ios), os_version: text("17.5.1"), model: text("iPhone 15") },
        consent: Consent::default(),
        app_version: text("1.2"),
        country: text("DE"),
        user: Default::default(),
        place: Default::default(),
        locality: None,
    }
}

fn device(origin: &Origin) -> Device {
    let links = ["braze_id", "user_id", "customer_id", "clevertap_identity", "app_instance_id"];
    Device {
        id: DeviceId(Uuid::from_u128(12)),
        app: AppId(1),
        kochava_ids: vec!["SX-0001".to_owned()],
        identifiers: origin.identifiers.clone(),
        consent: Consent::default(),
        traits: origin.traits.clone(),
        install: InstallId(Uuid::from_u128(12)),
        installed: Timestamp(1_760_090_000_000),
        install_received: Timestamp(1_760_090_000_000),
        source: None,
        links: links.iter().map(|name| ((*name).to_owned(), format!("{name}/1"))).collect(),
        claims: Vec::new(),
        user: Default::default(),
        last_session: None,
        seen_events: Vec::new(),
        said: Default::default(),
    }
}

fn event() -> Event {
    Event {
        origin: origin(),
        time: Timestamp(1_760_099_000_500),
        name: "Purchase".to_owned(),
        amount: Some("19.90".parse().unwrap()),
        currency: text("EUR"),
        params: vec![
            ("order_id".to_owned(), Value::Text("o-1 & 2".to_owned())),
            ("coupon".to_owned(), Value::Text("\"TEN\"".to_owned())),
            ("quantity".to_owned(), Value::Number("2".to_owned())),
        ],
        ..Event::default()
    }
}

fn click(network: NetworkId) -> Engagement {
    Engagement {
        kind: EngagementKind::Click,
        time: Timestamp(1_760_080_000_000),
        tracker: TrackerId(7),
        network,
        campaign: CampaignId(2),
        segment: SegmentId(3),
        identifiers: vec![LinkIdentifier::Plain(
            Identifier::new(IdKind::Idfa, "7C9E6679-7425-40DE-944B-E07FC1F90AE7").unwrap(),
        )],
        ip: Some("203.0.113.24".parse().unwrap()),
        user_agent: text("Mozilla/5.0 (iPhone)"),
        traits: Traits::default(),
        att: Default::default(),
        click_id: text("clk/1"),
        site_id: text("site 1"),
        sub_site_id: text("sub-1"),
        creative_id: text("cre-1"),
        params: Vec::new(),
        query: String::new(),
        place: measure::place::Place::default(),
        ip_of_caller: false,
    }
}

fn source(network: NetworkId) -> Source {
    Source {
        touch: Some(TouchId(Uuid::from_u128(13))),
        kind: EngagementKind::Click,
        class: "device_id".to_owned(),
        time: Timestamp(1_760_080_000_000),
        network,
        campaign: Some(CampaignId(2)),
        segment: Some(SegmentId(3)),
        tracker: Some(TrackerId(7)),
        click_id: text("clk/1"),
        site_id: text("site 1"),
        sub_site_id: text("sub-1"),
        creative_id: text("cre-1"),
        params: Vec::new(),
        query: String::new(),
        reengagement: false,
    }
}
