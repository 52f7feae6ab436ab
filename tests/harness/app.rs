//! An app and its links, as their owners and senders use them.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    answer::{Answer, Answered as _},
    moment::eventually,
    server::Server,
};

/// An app on a server.
#[derive(Clone)]
pub struct App {
    pub server: Server,
    pub id: u64,
    pub guid: String,
}

impl App {
    /// The app of an answer.
    #[track_caller]
    pub fn new(server: &Server, object: &Value) -> Self {
        let id = object["id"].as_u64().unwrap_or_else(|| panic!("an app's id is a number: {object}"));
        let guid = object["guid"].as_str().expect("an app has a guid").to_owned();
        Self { server: server.clone(), id, guid }
    }

    /// Sends `data` for a device and gives the answer, whatever it is.
    pub async fn send(&self, action: &str, device: &str, data: Value) -> Answer {
        self.server.sends("/track/json", self.body(action, device, data).to_string()).await
    }

    /// The body that a sender writes.
    pub fn body(&self, action: &str, device: &str, data: Value) -> Value {
        json!({ "action": action, "kochava_app_id": self.guid, "kochava_device_id": device, "data": data })
    }

    /// An install that has to be accepted; its input.
    pub async fn install(&self, device: &str, data: Value) -> String {
        self.send("install", device, data).await.accepted()
    }

    /// An event that has to be accepted; its input.
    pub async fn event(&self, device: &str, name: &str, event_data: Value) -> String {
        let data = json!({ "event_name": name, "event_data": event_data });
        self.send("event", device, data).await.accepted()
    }

    /// The answer about a device's install.
    pub async fn attribution(&self, device: &str) -> Value {
        let path = format!("/v1/apps/{}/attribution/{device}", self.guid);
        self.server.get(&path).await.is(200).json()
    }

    /// The class of the decision on a device's install.
    pub async fn class(&self, device: &str) -> String {
        let answer = self.attribution(device).await;
        answer["decision"]["class"].as_str().expect("a decision has a class").to_owned()
    }

    /// The click that a device's install is credited to; empty when it is organic.
    pub async fn winner(&self, device: &str) -> String {
        let answer = self.attribution(device).await;
        answer["decision"]["winner"]["click_id"].as_str().unwrap_or_default().to_owned()
    }

    /// The losing reason of every candidate that lost, as `click: reason`.
    pub async fn losers(&self, device: &str) -> Vec<(String, String)> {
        let answer = self.attribution(device).await;
        let candidates = answer["decision"]["candidates"].as_array().expect("a list").clone();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let lost = candidates.iter().filter(|candidate| !candidate["lost"].is_null());
        lost.map(|candidate| (text(&candidate["click_id"]), text(&candidate["lost"]))).collect()
    }

    /// Asks a what-if and waits for its end.
    pub async fn what_if(&self, body: Value) -> Value {
        let answer = self.server.post(&format!("/api/apps/{}/what-if", self.id), body).await;
        assert!(matches!(answer.status, 200 | 202), "{}", answer.text());
        let path = answer.json()["href"].as_str().expect("a place to ask").to_owned();
        eventually("the end of a what-if", async || {
            let answer = self.server.get(&path).await.is(200).json();
            (answer["state"] != "running").then_some(answer)
        })
        .await
    }

    /// A campaign with one segment and a tracker of a new network, leading to a page.
    pub async fn link(&self, network: &str) -> Link {
        let network = self.server.network(network).await;
        self.link_of(&network, json!({ "destination_url": "https://shop.example.com/start" })).await
    }

    /// A tracker of a network, with these fields.
    pub async fn link_of(&self, network: &str, fields: Value) -> Link {
        let server = &self.server;
        let campaign = server.post(&format!("/campaign/{}", self.id), json!({ "name": "Spring" })).await;
        let campaign = text(&campaign.is(201).json()["id"]);
        let tier = server.post(&format!("/tier/{campaign}"), json!({ "name": "DE", "source": "api" })).await;
        let tier = text(&tier.is(201).json()["id"]);
        let mut body = json!({
            "name": "DE spring video", "network_id": network, "campaign_id": campaign, "tier_id": tier,
        });
        let body_fields = body.as_object_mut().expect("an object");
        body_fields.extend(fields.as_object().expect("an object").clone());
        let tracker = server.post(&format!("/tracker/{}/create", self.id), body).await.is(201).json();
        Link {
            server: server.clone(),
            id: text(&tracker["id"]),
            guid: text(&tracker["guid"]),
            network: network.to_owned(),
            campaign,
            tier,
        }
    }

    /// An active trigger; its number.
    pub async fn trigger(&self, kind: &str, context: Value) -> u64 {
        self.trigger_with(json!({ "type": kind, "context": context })).await
    }

    /// An active custom trigger with these fields; its number.
    pub async fn trigger_with(&self, fields: Value) -> u64 {
        let mut body =
            json!({ "app_id": self.id, "title": "To partner", "template_id": 3373, "active": true });
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        let answer = self.server.post("/postbacks", body).await.is(201).json();
        answer["data"][0]["id"].as_u64().unwrap_or_else(|| panic!("a trigger's id is a number: {answer}"))
    }
}

/// Ids of campaigns, segments and trackers are strings.
#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string")).to_owned()
}

/// A tracking link.
#[derive(Clone)]
pub struct Link {
    pub server: Server,
    /// The tracker's number.
    pub id: String,
    /// What links name as `campaign_id`.
    pub guid: String,
    pub network: String,
    pub campaign: String,
    pub tier: String,
}

impl Link {
    /// The path and query of a click.
    pub fn path(&self, query: &str) -> String {
        format!("/v1/cpi/click?campaign_id={}&network_id={}&{query}", self.guid, self.network)
    }

    /// A server tells of a click; the click's id.
    pub async fn click(&self, query: &str) -> String {
        let path = self.path(&format!("pbr=1&{query}"));
        click_id(&self.server.request(Method::GET, &path).answer().await.accepted())
    }

    /// A click of a browser: the answer to it.
    pub async fn browse(&self, query: &str, user_agent: &str) -> Answer {
        self.server.request(Method::GET, &self.path(query)).header("User-Agent", user_agent).answer().await
    }

    /// An impression; its id.
    pub async fn impression(&self, query: &str) -> String {
        let path = format!("/track/impression?campaign_id={}&network_id={}&{query}", self.guid, self.network);
        let answer = self.server.request(Method::GET, &path).answer().await.is(200);
        let inputs = answer.inputs();
        assert_eq!(inputs.len(), 1);
        click_id(&inputs[0])
    }
}

/// The id of the click that an input made: what travels in referrers.
pub fn click_id(input: &str) -> String {
    format!("clk_{}", input.strip_prefix("in_").expect("an input"))
}
