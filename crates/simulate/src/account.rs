//! The account that the traffic belongs to, made over the management interface
//! (management-and-reporting.md sections 2 to 5 and 7, postbacks.md section 3, DECISIONS 27).

use serde_json::{Value, json};

use crate::{
    device::Platform,
    scenario::NETWORKS,
    target::{Error, Target, quote},
};

/// The names of the networks, by the index that scenarios use.
pub const NETWORK_NAMES: [&str; NETWORKS] = ["Brightfeed", "Kitepath", "Moss & Lantern"];
/// The custom template (postbacks.md section 2).
const CUSTOM_TEMPLATE: u64 = 3373;
/// Where the links lead: nobody follows them in a simulation.
const STORES: [(Platform, &str); 2] = [
    (Platform::Ios, "https://apps.example.com/demo"),
    (Platform::Android, "https://play.google.com/store/apps/details?id=com.example.demo"),
];

/// An app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Its platform.
    pub platform: Platform,
    /// Its number.
    pub id: u64,
    /// What senders call it.
    pub guid: String,
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
}

/// A tracker: one per app and network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracker {
    /// Its app.
    pub platform: Platform,
    /// The index of its network.
    pub network: usize,
    /// What its links call it.
    pub guid: String,
}

/// A postback trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Its number.
    pub id: u64,
    /// Its app.
    pub platform: Platform,
    /// `install`, `event` or `click`.
    pub kind: &'static str,
    /// The network it is bound to; `None` is everybody.
    pub network: Option<usize>,
}

/// Everything that was set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The iOS app and the Android app.
    pub apps: [App; 2],
    /// The networks, by index.
    pub networks: Vec<Network>,
    /// The trackers, by app and network.
    pub trackers: Vec<Tracker>,
    /// The triggers; empty without a sink.
    pub triggers: Vec<Trigger>,
}

impl Account {
    /// The app of a platform.
    #[must_use]
    pub const fn app(&self, platform: Platform) -> &App {
        let [ios, android] = &self.apps;
        match platform {
            Platform::Ios => ios,
            Platform::Android => android,
        }
    }

    /// The tracker of an app for a network.
    #[must_use]
    pub fn tracker(&self, platform: Platform, network: usize) -> &Tracker {
        &self.trackers[platform as usize * NETWORKS + network]
    }
}

/// Makes two apps, three networks, a campaign, a segment and a tracker for each pair of them, and, with a
/// `sink`, triggers that send to it: `{sink}/install`, `{sink}/event` and `{sink}/click`, with macros that
/// name delivery, device and click. Networks of these names that are there already are used.
///
/// # Errors
/// When the server cannot be reached, refuses the key, or does not answer as documented.
pub async fn set_up(target: &Target, sink: Option<&str>) -> Result<Account, Error> {
    let networks = networks(target).await?;
    let mut apps = Vec::new();
    let mut trackers = Vec::new();
    let mut triggers = Vec::new();
    for platform in Platform::ALL {
        let app = app(target, platform).await?;
        trackers.extend(self::trackers(target, &app, &networks).await?);
        if let Some(sink) = sink {
            triggers.extend(self::triggers(target, &app, &networks, sink).await?);
        }
        apps.push(app);
    }
    let apps = <[App; 2]>::try_from(apps).map_err(|_| missing("/apps", "second app", &Value::Null))?;
    Ok(Account { apps, networks, trackers, triggers })
}

async fn networks(target: &Target) -> Result<Vec<Network>, Error> {
    let known = target.get("/networks").await?;
    let known = known.get("data").unwrap_or(&known).as_array().cloned().unwrap_or_default();
    let mut networks = Vec::new();
    for name in NETWORK_NAMES {
        let found = known.iter().find(|network| network["name"] == name).cloned();
        let network = match found {
            Some(network) => network,
            None => target.create("/networks", &json!({ "name": name })).await?,
        };
        networks.push(Network { id: number("/networks", &network, "id")?, name: name.to_owned() });
    }
    Ok(networks)
}

async fn app(target: &Target, platform: Platform) -> Result<App, Error> {
    let body = json!({
        "name": format!("Sextant demo {}", platform.name()),
        "platform": platform.name(),
        // A simulation tells of days that have passed.
        "settings": { "tracking.accept_click_time": true },
    });
    let app = target.create("/apps", &body).await?;
    Ok(App { platform, id: number("/apps", &app, "id")?, guid: text("/apps", &app, "guid")? })
}

async fn trackers(target: &Target, app: &App, networks: &[Network]) -> Result<Vec<Tracker>, Error> {
    let destination =
        STORES.iter().find(|(platform, _)| *platform == app.platform).map_or("", |(_, url)| url);
    let path = format!("/campaign/{}", app.id);
    let campaign = json!({ "name": "Spring", "destination_url": destination, "source": "api" });
    let campaign = text(&path, &target.create(&path, &campaign).await?, "id")?;
    let path = format!("/tier/{campaign}");
    let segment = target.create(&path, &json!({ "name": "Everywhere", "source": "api" })).await?;
    let segment = text(&path, &segment, "id")?;
    let path = format!("/tracker/{}/create", app.id);
    let mut trackers = Vec::new();
    for (index, network) in networks.iter().enumerate() {
        let kind = match app.platform {
            Platform::Ios => "",
            Platform::Android => "google_referrer",
        };
        let body = json!({
            "name": format!("{} spring", network.name),
            "type": "acquisition",
            "network_id": network.id.to_string(),
            "campaign_id": campaign,
            "tier_id": segment,
            "destination_url": destination,
            "destination_data": { "type": kind, "typeObj": "" },
            "network_pricing": "cpi",
            "network_price": 1.5,
        });
        let tracker = target.create(&path, &body).await?;
        trackers.push(Tracker {
            platform: app.platform,
            network: index,
            guid: text(&path, &tracker, "guid")?,
        });
    }
    Ok(trackers)
}

async fn triggers(
    target: &Target,
    app: &App,
    networks: &[Network],
    sink: &str,
) -> Result<Vec<Trigger>, Error> {
    let first = networks.first().map(|network| network.id);
    let plans = [
        (
            "install",
            None,
            "install?delivery={delivery_id}&device={kochava_device_id}&network={network_name}&match={match_type}&click={click_id}",
            None,
        ),
        ("click", None, "click?delivery={delivery_id}&click={click_id}&network={network_name}", None),
        (
            "event",
            Some("Purchase"),
            "event?delivery={delivery_id}&device={kochava_device_id}&event={event_name}&value={event_value}&currency={currency}",
            None,
        ),
        // For one network only, so that some are suppressed and the reasons can be seen.
        (
            "event",
            Some("Registration Complete"),
            "event?delivery={delivery_id}&device={kochava_device_id}&event={event_name}&click={click_id}",
            Some(0),
        ),
    ];
    let mut triggers = Vec::new();
    for (kind, filter, query, network) in plans {
        let mut context =
            json!({ "cpi_mostback_url": format!("{sink}/{query}"), "max_delivery_attempts": 3 });
        if network.is_some() {
            context["sx_delivery"] = json!("network");
            context["sx_network_id"] = json!(first);
        }
        let mut body = json!({
            "app_id": app.id,
            "type": kind,
            "title": format!("{} to the demo partner", filter.unwrap_or(kind)),
            "template_id": CUSTOM_TEMPLATE,
            "context": context,
        });
        if let Some(filter) = filter {
            body["filter_str"] = json!(filter);
        }
        let created = target.create("/postbacks", &body).await?;
        let trigger = created["data"].get(0).unwrap_or(&created["data"]);
        let id = number("/postbacks", trigger, "id")?;
        target.patch(&format!("/postbacks/{id}"), &json!({ "active": true })).await?;
        triggers.push(Trigger { id, platform: app.platform, kind, network });
    }
    Ok(triggers)
}

fn missing(path: &str, what: &str, body: &Value) -> Error {
    Error::Shape { path: path.to_owned(), missing: what.to_owned(), body: quote(&body.to_string()) }
}

/// A number, which some answers write as a text.
fn number(path: &str, body: &Value, key: &str) -> Result<u64, Error> {
    let value = &body[key];
    value
        .as_u64()
        .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
        .ok_or_else(|| missing(path, key, body))
}

/// A text, which some answers write as a number.
fn text(path: &str, body: &Value, key: &str) -> Result<String, Error> {
    match &body[key] {
        Value::String(text) if !text.is_empty() => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(missing(path, key, body)),
    }
}
