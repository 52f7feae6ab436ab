//! Every call that the description of the interface lists, with keys that may not make it: 401 for one that
//! is not known, 403 for one that does not reach so far (management-and-reporting.md section 1).

use reqwest::Method;

use crate::harness::{Answered as _, Server, Sink, Value, device::advertising_id, json};

/// A call on things that exist.
struct Call {
    /// Verb and path as described.
    line: String,
    method: Method,
    path: String,
    body: Value,
}

/// An app with everything that a path can name, and every call with a key on it.
async fn calls(server: &Server, sink: &Sink) -> Vec<Call> {
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    app.trigger("install", json!({ "cpi_mostback_url": sink.url("/pb"), "sx_delivery": "all" })).await;
    let adid = advertising_id(1);
    let input = app.install("SX-1", json!({ "device_ids": { "adid": adid } })).await;
    let delivery = server.settled("", "delivered", 1).await[0]["delivery_id"].as_str().unwrap().to_owned();
    let source = json!({ "kind": "segment", "name": "segment-prod" });
    server.post(&format!("/api/apps/{}/sources", app.id), source).await.is(201);
    server.post("/api/triggers/1/secrets", json!({})).await.is(201);
    server.post("/api/members", json!({ "name": "Sam", "role": "Read Only" })).await.is(201);
    let about = json!({ "device_ids": [{ "id_type": "adid", "id_value": advertising_id(2) }] });
    let job = server.post(&format!("/accounts/1/apps/{}/privacy/access", app.id), about).await.is(200);
    let job = job.json()["job_id"].as_str().unwrap().to_owned();

    let id = app.id.to_string();
    let names = [
        ("{account}", "1"),
        ("{app}", id.as_str()),
        ("{campaign}", link.campaign.as_str()),
        ("{segment}", link.tier.as_str()),
        ("{tracker}", link.id.as_str()),
        ("{network}", link.network.as_str()),
        ("{guid}", app.guid.as_str()),
        ("{device}", "SX-1"),
        ("{delivery}", delivery.as_str()),
        ("{job}", job.as_str()),
        ("{op}", "add"),
        ("{trigger}", "1"),
        ("{secret}", "1"),
        ("{source}", "1"),
        ("{member}", "1"),
        ("{key}", "1"),
        ("{replay}", "1"),
    ];
    let description = server.request(Method::GET, "/openapi.json").answer().await.is(200).json();
    let mut calls = Vec::new();
    for (path, verbs) in description["paths"].as_object().unwrap() {
        for (verb, call) in verbs.as_object().unwrap() {
            if call.get("security").is_none() {
                continue;
            }
            let line = format!("{} {path}", verb.to_uppercase());
            let of_install = input.replace("in_", "ins_");
            let numbered = match path.as_str() {
                "/api/inputs/{id}" | "/api/events/{id}/explain" => path.replace("{id}", &input),
                "/api/installs/{id}/explain" => path.replace("{id}", &of_install),
                _ => path.replace("{id}", &id),
            };
            let mut path = names.iter().fold(numbered, |path, (name, value)| path.replace(name, value));
            assert!(!path.contains('{'), "{path}: name something for it in this test");
            match path.as_str() {
                "/tracker/override" => path = format!("{path}?id={}", link.id),
                "/api/costs" => path = format!("{path}?app={id}"),
                _ => {}
            }
            let body = if line == "POST /postbacks" { json!({ "app_id": app.id }) } else { json!({}) };
            calls.push(Call { line, method: verb.to_uppercase().parse().unwrap(), path, body });
        }
    }
    assert!(calls.len() > 60, "{} calls", calls.len());
    calls
}

async fn key(server: &Server, body: Value) -> String {
    let made = server.post("/api/keys", body).await.is(201).json();
    made["key"].as_str().expect("a key").to_owned()
}

#[tokio::test]
async fn no_call_goes_beyond_the_scope_of_its_key() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let calls = calls(&server, &sink).await;
    let other = server.app("Android").await;
    let elsewhere = key(&server, json!({ "name": "elsewhere", "apps": [other.id], "write": true })).await;
    let looker = key(&server, json!({ "name": "looker" })).await;
    let mut wrong = Vec::new();
    for call in &calls {
        for (key, who) in [("nobody", "nobody"), (&*elsewhere, "elsewhere"), (&*looker, "looker")] {
            let request = server.request(call.method.clone(), &call.path).header("Authentication-Key", key);
            let request = if call.method == Method::GET { request } else { request.json(&call.body) };
            let status = request.answer().await.status;
            let line = call.line.as_str();
            let fits = match who {
                "nobody" => status == 401,
                // Lists show what the key reaches; networks belong to everybody; a replay that is not there.
                "elsewhere" => match line {
                    "GET /apps" | "GET /networks" | "GET /networks/{network}" => status == 200,
                    "GET /accounts/{account}/privacy/jobs" => status == 200,
                    "GET /api/replays/{replay}" => status == 404,
                    _ => status == 403,
                },
                // Looking is all it may; these only look, although they are sent a body.
                _ => match line {
                    "POST /api/triggers/{trigger}/render" => status == 200,
                    "POST /api/apps/{id}/sources/{source}/preview" => status == 400 || status == 200,
                    "POST /api/apps/{id}/what-if" => matches!(status, 200 | 202),
                    "DELETE /api/apps/{id}/what-if/{job}" => status == 404,
                    _ if call.method == Method::GET => matches!(status, 200 | 404),
                    _ => status == 403,
                },
            };
            if !fits {
                wrong.push(format!("{line} by {who}: {status}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
