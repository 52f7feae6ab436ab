//! Partners that are slow, broken or rude (postbacks.md section 5; DESIGN section 10).

use std::time::Duration;

use crate::harness::{App, Reply, Server, Sink, Value, json, within};

/// An app with one install trigger to each path, by template.
async fn triggers(app: &App, sink: &Sink, contexts: &[(&str, Value)]) -> Vec<u64> {
    let mut ids = Vec::new();
    for (template, (path, more)) in (4000..).zip(contexts) {
        let mut context = json!({ "cpi_mostback_url": sink.url(&format!("{path}?d={{delivery_id}}")), "sx_delivery": "all" });
        context.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let fields = json!({ "type": "install", "template_id": template, "context": context });
        ids.push(app.trigger_with(fields).await);
    }
    ids
}

fn attempts(row: &Value) -> Vec<(Option<u64>, Option<String>)> {
    let attempts = row["attempts"].as_array().expect("attempts are a list");
    attempts
        .iter()
        .map(|attempt| (attempt["status"].as_u64(), attempt["error"].as_str().map(str::to_owned)))
        .collect()
}

/// All of it on one server at once, because it takes a while: the first wait is 10 s, the second a minute.
#[tokio::test]
async fn each_partner_is_treated_as_it_deserves() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    // Two installs: each delivery fails twice.
    let failures = [500, 500, 503, 503, 200].map(Reply::Status);
    sink.on("/twice", failures);
    sink.on("/gone", [Reply::Status(404)]);
    sink.on("/moved", [Reply::With(302, "location: /elsewhere")]);
    sink.on("/busy", [Reply::With(429, "retry-after: 2"), Reply::Status(200)]);
    sink.on("/reset", [Reply::Reset, Reply::Status(204)]);
    sink.on("/hang", [Reply::Hang]);
    sink.on("/slow", [Reply::Slow(Duration::from_secs(3))]);
    sink.on("/words", [Reply::Text("message: failure"), Reply::Text("{\"message\": success}")]);
    sink.on("/never", [Reply::Status(500)]);
    let none = json!({});
    let contexts = [
        ("/twice", none.clone()),
        ("/gone", none.clone()),
        ("/moved", none.clone()),
        ("/busy", none.clone()),
        ("/reset", none.clone()),
        ("/hang", json!({ "max_delivery_attempts": 0 })),
        ("/slow", none.clone()),
        ("/words", json!({ "sx_success_match": "success" })),
        ("/never", json!({ "max_delivery_attempts": 1 })),
        ("/good", none),
    ];
    let ids = triggers(&app, &sink, &contexts).await;
    let id = |path: &str| ids[contexts.iter().position(|(known, _)| *known == path).unwrap()];
    let row = async |path: &str, state: &str| {
        within(Duration::from_secs(120), &format!("{path} is {state}"), async || {
            let rows = server.deliveries(&format!("trigger={}&state={state}", id(path))).await;
            rows.into_iter().next()
        })
        .await
    };
    app.install("SX-1", json!({})).await;

    // The one that hangs holds up nobody else.
    sink.receives("/hang", 1).await;
    row("/good", "delivered").await;
    app.install("SX-2", json!({})).await;
    sink.receives("/good", 2).await;
    assert_eq!(server.deliveries(&format!("trigger={}&state=delivered", id("/hang"))).await.len(), 0);

    let gone = row("/gone", "dead").await;
    assert_eq!(attempts(&gone), [(Some(404), Some("http".to_owned()))], "{gone}");
    assert!(gone["reason"].is_string(), "{gone}");
    let moved = row("/moved", "dead").await;
    assert_eq!(attempts(&moved), [(Some(302), Some("http".to_owned()))], "{moved}");
    assert!(sink.hits("/elsewhere").is_empty(), "redirects are not followed");

    let busy = row("/busy", "delivered").await;
    assert!(attempts(&busy).len() <= 2, "{busy}");
    row("/slow", "delivered").await;
    let words = row("/words", "delivered").await;
    assert!(attempts(&words).last().is_some_and(|(_, error)| error.is_none()), "{words}");
    let reset = row("/reset", "delivered").await;
    assert!(attempts(&reset).last().is_some_and(|(status, _)| *status == Some(204)), "{reset}");
    let hang = row("/hang", "dead").await;
    assert_eq!(attempts(&hang), [(None, Some("timeout".to_owned()))], "{hang}");
    let never = row("/never", "dead").await;
    assert_eq!(attempts(&never).len(), 2, "{never}");
    let twice = row("/twice", "delivered").await;
    assert_eq!(attempts(&twice).len(), 3, "{twice}");

    // Both installs come to an end everywhere, and every attempt carries the same id and content.
    within(Duration::from_secs(150), "nothing is pending", async || {
        server.deliveries("state=pending").await.is_empty().then_some(())
    })
    .await;
    let ledger = server.balanced().await;
    assert_eq!(ledger["postbacks"]["due"], 20, "{ledger}");
    assert_eq!(ledger["postbacks"]["dead"], 8, "{ledger}");
    assert_eq!(sink.hits("/busy").len(), 3, "two installs and one try again");
    for (path, _) in &contexts {
        let ids: std::collections::BTreeSet<_> =
            sink.hits(path).iter().map(|hit| hit.parameter("d")).collect();
        assert_eq!(ids.len(), 2, "one id for each install at {path}");
    }
}

#[tokio::test]
async fn the_wait_that_a_partner_asks_for_is_kept() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    sink.on("/busy", [Reply::With(429, "retry-after: 14"), Reply::Status(200)]);
    triggers(&app, &sink, &[("/busy", json!({}))]).await;
    app.install("SX-1", json!({})).await;
    let hits = sink.receives("/busy", 2).await;
    let waited = hits[1].at.duration_since(hits[0].at);
    assert!(waited >= Duration::from_secs(14), "came again after {waited:?}");
    assert!(waited <= Duration::from_secs(50), "before its second try would be due: {waited:?}");
}
