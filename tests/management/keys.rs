//! Who may (management-and-reporting.md section 1; DECISIONS 27).

use reqwest::Method;

use crate::harness::{Answered as _, App, KEY, Server, json};

/// Every management path that a stranger could try.
async fn paths(app: &App) -> Vec<(Method, String)> {
    let link = app.link("Example Network").await;
    let id = app.id;
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    vec![
        (get.clone(), "/apps".to_owned()),
        (post.clone(), "/apps".to_owned()),
        (get.clone(), format!("/apps/{id}")),
        (patch.clone(), format!("/apps/{id}")),
        (delete.clone(), format!("/apps/{id}")),
        (get.clone(), "/networks".to_owned()),
        (post.clone(), "/networks".to_owned()),
        (get.clone(), format!("/campaign/{id}")),
        (post.clone(), format!("/campaign/{id}")),
        (get.clone(), format!("/campaign/{id}/{}", link.campaign)),
        (delete.clone(), format!("/campaign/{id}/delete/{}", link.campaign)),
        (get.clone(), format!("/tier/{}", link.campaign)),
        (post.clone(), format!("/tier/{}", link.campaign)),
        (get.clone(), format!("/tracker/{id}")),
        (post.clone(), format!("/tracker/{id}")),
        (post.clone(), format!("/tracker/{id}/create")),
        (delete.clone(), format!("/tracker/{id}/delete/{}", link.id)),
        (get.clone(), format!("/tracker/override?id={}", link.id)),
        (post.clone(), format!("/tracker/override?id={}", link.id)),
        (get.clone(), format!("/apps/{id}/postbacks")),
        (post, "/postbacks".to_owned()),
        (patch, "/postbacks/1".to_owned()),
        (delete, "/postbacks/1".to_owned()),
        (get.clone(), "/api/members".to_owned()),
        (get.clone(), "/api/keys".to_owned()),
        (get.clone(), "/api/audit".to_owned()),
        (get.clone(), "/api/ledger".to_owned()),
        (get.clone(), "/api/deliveries".to_owned()),
        (get.clone(), format!("/api/apps/{id}/quarantine")),
        (get.clone(), format!("/api/apps/{id}/events")),
        (get.clone(), "/api/inputs/in_01a1fd22e42e7e22b9035db32300a7a3".to_owned()),
        (get.clone(), "/api/installs/ins_01a1fd22e42e7e22b9035db32300a7a3/explain".to_owned()),
        (get.clone(), format!("/api/apps/{id}/devices/SX-1/explain")),
        (get.clone(), "/api/events/in_01a1fd22e42e7e22b9035db32300a7a3/explain".to_owned()),
        (Method::POST, format!("/api/apps/{id}/what-if")),
        (get.clone(), format!("/api/apps/{id}/what-if/wif_1")),
        (Method::DELETE, format!("/api/apps/{id}/what-if/wif_1")),
        (get, format!("/v1/apps/{}/attribution/SX-1", app.guid)),
    ]
}

#[tokio::test]
async fn nothing_is_shown_or_done_without_a_known_key() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    for (method, path) in paths(&app).await {
        for key in [None, Some(""), Some("nobody"), Some("5F1D7A3C"), Some(&*KEY.to_lowercase())] {
            let mut request = server.request(method.clone(), &path).json(&json!({ "name": "x" }));
            if let Some(key) = key {
                request = request.header("Authentication-Key", key);
            }
            let answer = request.answer().await;
            assert_eq!(answer.status, 401, "{method} {path} with {key:?}: {}", answer.text());
            let body = answer.json();
            assert_eq!(body["success"], false, "{body}");
            assert!(body["errors"][0].is_string(), "{body}");
        }
    }
    server.get(&format!("/apps/{}", app.id)).await.is(200);
}

#[tokio::test]
async fn answers_are_not_kept_by_caches_or_framed() {
    let server = Server::start().await;
    for answer in [server.get("/apps").await.is(200), server.get("/apps/999").await.is(404)] {
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
    }
}

#[tokio::test]
async fn health_needs_no_key() {
    let server = Server::start().await;
    for path in ["/healthz", "/readyz"] {
        server.request(Method::GET, path).answer().await.is(200);
    }
}

#[tokio::test]
async fn odd_numbers_in_paths_are_404_never_500() {
    let server = Server::start().await;
    for path in [
        "/apps/x",
        "/apps/-1",
        "/apps/99999999999999999999999",
        "/apps/1%00",
        "/campaign/x",
        "/campaign/1/x",
        "/tier/x",
        "/tracker/x",
        "/apps/x/postbacks",
        "/networks/x",
        "/api/apps/x/quarantine",
    ] {
        let answer = server.get(path).await;
        assert!((400..=404).contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
    }
    server.get("/api/inputs/nonsense").await.is(400);
    server.get("/api/inputs/in_01a1fd22e42e7e22b9035db32300a7a3").await.is(404);
}
