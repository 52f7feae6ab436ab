//! Members, keys and the audit log (docs/management.md).

use reqwest::Method;

use crate::harness::{Answer, Answered as _, KEY, Server, Value, json};

/// A call with another key than the first one.
async fn with(server: &Server, key: &str, line: &str, body: Value) -> Answer {
    let (method, path) = line.split_once(' ').expect("method and path");
    let method: Method = method.parse().expect("a method");
    let mut request = server.request(method.clone(), path).header("Authentication-Key", key);
    if method != Method::GET && method != Method::DELETE {
        request = request.json(&body);
    }
    request.answer().await
}

/// A new key: its number and itself.
async fn made(server: &Server, body: Value) -> (u64, String) {
    let answer = server.post("/api/keys", body).await.is(201).json();
    let key = answer["key"].as_str().unwrap_or_else(|| panic!("no key in {answer}")).to_owned();
    (answer["id"].as_u64().expect("a number"), key)
}

#[tokio::test]
async fn a_key_is_shown_once_and_kept_as_a_hash() {
    let server = Server::start().await;
    let answer = server.post("/api/keys", json!({ "name": "CI", "write": true })).await.is(201).json();
    let (id, key) = (answer["id"].as_u64().unwrap(), answer["key"].as_str().unwrap().to_owned());
    assert_eq!(key.len(), 36, "128 bits in the look of an upper-case UUID: {key}");
    assert_eq!(key, key.to_uppercase());
    assert_eq!(
        (&answer["write"], &answer["apps"], &answer["revoked"], &answer["member_id"]),
        (&json!(true), &json!([]), &json!(false), &Value::Null),
        "{answer}"
    );
    assert_eq!(answer["last_used"], Value::Null);
    with(&server, &key, "GET /apps", json!({})).await.is(200);
    with(&server, &key, "POST /apps", json!({ "name": "Shop", "platform": "iOS" })).await.is(201);
    for path in ["/api/keys".to_owned(), format!("/api/keys/{id}"), "/api/audit".to_owned()] {
        let text = server.get(&path).await.is(200).text();
        assert!(!text.contains(&key), "{path}");
    }
    let shown = server.get(&format!("/api/keys/{id}")).await.is(200).json();
    assert_eq!(shown.get("key"), None, "{shown}");
    assert!(shown["last_used"].is_string(), "{shown}");
    server.terminate().await;
    for file in walk(&server.data()) {
        let bytes = std::fs::read(&file).expect("the file can be read");
        assert!(!String::from_utf8_lossy(&bytes).contains(&key), "{}", file.display());
    }
    assert!(!server.log().contains(&key));
    // What is known of it survives, and it still opens.
    server.start_again().await;
    assert_eq!(server.get(&format!("/api/keys/{id}")).await.is(200).json()["last_used"], shown["last_used"]);
    with(&server, &key, "GET /apps", json!({})).await.is(200);
}

fn walk(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).expect("the directory is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_key_does_what_its_scope_says_and_no_more() {
    let server = Server::start().await;
    let (one, other) = (server.app("iOS").await, server.app("Android").await);
    let (id, reader) = made(&server, json!({ "name": "reader", "apps": [one.id.to_string()] })).await;
    let (_, writer) = made(&server, json!({ "name": "writer", "apps": [one.id], "write": true })).await;
    let (_, looker) = made(&server, json!({ "name": "looker" })).await;
    let (own, foreign) = (format!("/campaign/{}", one.id), format!("/campaign/{}", other.id));
    let campaign = json!({ "name": "Spring" });
    for (key, line, expected) in [
        (&reader, format!("GET {own}"), 200),
        (&reader, format!("POST {own}"), 403),
        (&reader, format!("GET {foreign}"), 403),
        (&writer, format!("POST {own}"), 201),
        (&writer, format!("POST {foreign}"), 403),
        (&looker, format!("GET {foreign}"), 200),
        (&looker, format!("POST {foreign}"), 403),
        (&writer, "POST /networks".to_owned(), 403),
        (&writer, "GET /api/ledger".to_owned(), 403),
        (&writer, format!("GET /api/ledger?app={}", one.id), 200),
        (&looker, "GET /api/ledger".to_owned(), 200),
        (&reader, "GET /api/keys".to_owned(), 403),
        (&writer, "POST /api/keys".to_owned(), 403),
        (&looker, "POST /api/members".to_owned(), 403),
        (&reader, "GET /api/audit".to_owned(), 403),
    ] {
        let answer = with(&server, key, &line, campaign.clone()).await;
        assert_eq!(answer.status, expected, "{line}: {}", answer.text());
    }
    let apps = with(&server, &reader, "GET /apps", json!({})).await.is(200).json();
    assert_eq!(apps.as_array().unwrap().len(), 1, "{apps}");
    // A wider scope is in force at once, and so is withdrawing.
    server
        .patch(&format!("/api/keys/{id}"), json!({ "apps": [], "write": true, "name": "all" }))
        .await
        .is(200);
    with(&server, &reader, &format!("POST {foreign}"), campaign.clone()).await.is(201);
    let gone = server.delete(&format!("/api/keys/{id}")).await.is(200).json();
    assert_eq!(gone["revoked"], true, "{gone}");
    with(&server, &reader, &format!("GET {own}"), json!({})).await.is(401);
    server.delete(&format!("/api/keys/{id}")).await.is(200);
    server.patch(&format!("/api/keys/{id}"), json!({ "name": "back" })).await.is(409);
    let listed = server.get("/api/keys").await.is(200).json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 4, "{listed}");
}

#[tokio::test]
async fn a_key_can_do_no_more_than_its_member() {
    let server = Server::start().await;
    let (one, other) = (server.app("iOS").await, server.app("Android").await);
    let member =
        json!({ "name": "Sam", "email": "sam@example.com", "role": "campaign admin", "apps": [one.id] });
    let member = server.post("/api/members", member).await.is(201).json();
    assert_eq!(member["role"], "Campaign Admin", "{member}");
    let path = format!("/api/members/{}", member["id"]);
    let (key_id, key) =
        made(&server, json!({ "name": "Sam's", "member_id": member["id"], "write": true })).await;
    assert_eq!(server.get(&path).await.is(200).json()["keys"], json!([key_id]));
    let app = |id: u64| format!("/apps/{id}");
    let trigger = json!({ "app_id": one.id, "type": "install", "title": "t", "template_id": 3373,
                          "context": { "cpi_mostback_url": "https://partner.example.com/pb" } });
    for (line, body, expected) in [
        (format!("POST /campaign/{}", one.id), json!({ "name": "Spring" }), 201),
        (format!("POST /campaign/{}", other.id), json!({ "name": "Spring" }), 403),
        (format!("PATCH {}", app(one.id)), json!({ "name": "x" }), 403),
        (format!("GET {}/postbacks", app(one.id)), json!({}), 200),
        ("POST /postbacks".to_owned(), trigger, 403),
        ("GET /api/members".to_owned(), json!({}), 403),
    ] {
        let answer = with(&server, &key, &line, body).await;
        assert_eq!(answer.status, expected, "{line}: {}", answer.text());
    }
    // Another role is in force at once for every key of the member.
    server.patch(&path, json!({ "role": "View Analytics", "apps": [] })).await.is(200);
    with(&server, &key, &format!("POST /campaign/{}", one.id), json!({ "name": "Fall" })).await.is(403);
    with(&server, &key, &format!("GET {}/postbacks", app(one.id)), json!({})).await.is(403);
    with(&server, &key, &format!("GET /api/ledger?app={}", other.id), json!({})).await.is(200);
    // With the member its keys go.
    server.delete(&path).await.is(200);
    with(&server, &key, "GET /apps", json!({})).await.is(401);
    server.get(&path).await.is(404);
    assert_eq!(server.get(&format!("/api/keys/{key_id}")).await.is(200).json()["revoked"], true);
}

/// The event manager goes with the triggers, and what single senders sent with the inputs.
#[tokio::test]
async fn roles_open_the_parts_of_an_app_that_are_theirs() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    // What each role is answered: reading and changing events, what shows single inputs, what counts.
    for (role, [events, change, inputs, ledger]) in [
        ("App Admin", [200, 200, 200, 200]),
        ("Campaign Admin", [200, 403, 200, 200]),
        ("Read Only", [200, 403, 200, 200]),
        ("View Analytics", [403, 403, 403, 200]),
        ("View Postbacks", [200, 403, 403, 403]),
        ("View Conversions", [403, 403, 200, 403]),
        ("Reporting Generation Access", [403, 403, 403, 200]),
    ] {
        let member = server.post("/api/members", json!({ "name": role, "role": role })).await.is(201).json();
        let (_, key) = made(&server, json!({ "name": role, "member_id": member["id"], "write": true })).await;
        let of_app = |line: &str, what: &str| format!("{line} /api/apps/{}/{what}", app.id);
        for (line, expected) in [
            (of_app("GET", "events"), events),
            (of_app("PATCH", "events"), change),
            (of_app("GET", "quarantine"), inputs),
            (of_app("GET", "health"), inputs),
            (format!("GET /api/ledger?app={}", app.id), ledger),
        ] {
            let body = json!({ "name": "Purchase", "active": false });
            let answer = with(&server, &key, &line, body).await;
            assert_eq!(answer.status, expected, "{role}: {line}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn the_last_key_that_may_do_everything_stays() {
    let server = Server::start().await;
    let first = server.get("/api/keys").await.is(200).json()["data"][0]["id"].clone();
    let path = format!("/api/keys/{first}");
    let app = server.app("iOS").await;
    server.delete(&path).await.is(409);
    server.patch(&path, json!({ "write": false })).await.is(409);
    server.patch(&path, json!({ "apps": [app.id] })).await.is(409);
    server.patch(&path, json!({ "name": "renamed" })).await.is(200);
    // One that is narrower does not count, also not by its member.
    made(&server, json!({ "name": "one app", "apps": [app.id], "write": true })).await;
    let member = json!({ "name": "Sam", "role": "App Admin" });
    let member = server.post("/api/members", member).await.is(201).json();
    let of_member = json!({ "name": "Sam's", "member_id": member["id"], "write": true });
    let (_, key) = made(&server, of_member).await;
    server.delete(&path).await.is(409);
    let member = format!("/api/members/{}", member["id"]);
    server.patch(&member, json!({ "role": "Account Admin" })).await.is(200);
    server.delete(&path).await.is(200);
    assert_eq!(server.get("/apps").await.status, 401, "the first key is gone: {KEY}");
    // Now that one is the last.
    for (line, body) in [
        (format!("DELETE {member}"), json!({})),
        (format!("PATCH {member}"), json!({ "role": "Read Only" })),
        (format!("PATCH {member}"), json!({ "apps": [app.id] })),
    ] {
        with(&server, &key, &line, body).await.is(409);
    }
    with(&server, &key, "GET /api/members", json!({})).await.is(200);
}

#[tokio::test]
async fn what_makes_no_member_or_key_is_a_400() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    for body in [
        json!({}),
        json!({ "name": "Sam" }),
        json!({ "name": "Sam", "role": "Owner" }),
        json!({ "name": "Sam", "role": "Read Only", "email": "sam" }),
        json!({ "name": "Sam", "role": "Read Only", "email": "sam @example.com" }),
        json!({ "name": "Sam", "role": "Read Only", "apps": [999] }),
        json!({ "name": "Sam", "role": "Read Only", "apps": "all" }),
        json!({ "name": "Sam", "role": "Read Only", "pasword": "x" }),
    ] {
        server.post("/api/members", body).await.is(400);
    }
    let member = json!({ "name": "Sam", "role": "Read Only", "apps": [app.id] });
    let member = server.post("/api/members", member).await.is(201).json();
    let other = server.app("iOS").await;
    for body in [
        json!({}),
        json!({ "name": "" }),
        json!({ "name": "k", "write": "yes" }),
        json!({ "name": "k", "apps": [999] }),
        json!({ "name": "k", "member_id": 999 }),
        json!({ "name": "k", "member_id": member["id"], "apps": [other.id] }),
        json!({ "name": "k", "key": "my-own" }),
    ] {
        server.post("/api/keys", body).await.is(400);
    }
    for path in ["/api/members/999", "/api/members/x", "/api/keys/999", "/api/keys/x"] {
        server.get(path).await.is(404);
        server.delete(path).await.is(404);
    }
}

#[tokio::test]
async fn lists_of_the_team_are_paged() {
    let server = Server::start().await;
    for n in 0..5 {
        server.post("/api/members", json!({ "name": format!("m{n}"), "role": "Read Only" })).await.is(201);
        made(&server, json!({ "name": format!("k{n}") })).await;
    }
    for (path, count) in [("/api/members", 5), ("/api/keys", 6), ("/api/audit", 14)] {
        let (mut token, mut rows) = (String::new(), Vec::new());
        loop {
            let page = server.get(&format!("{path}?limit=2{token}")).await.is(200).json();
            let data = page["data"].as_array().expect("a list").clone();
            assert!(!data.is_empty() && data.len() <= 2, "{page}");
            rows.extend(data);
            match page["nextToken"].as_str() {
                Some(next) => token = format!("&pageToken={next}"),
                None => break,
            }
        }
        assert_eq!(rows.len(), count, "{path}");
        rows.dedup();
        assert_eq!(rows.len(), count, "{path}");
        server.get(&format!("{path}?limit=0")).await.is(400);
        server.get(&format!("{path}?pageToken=x")).await.is(400);
    }
}

#[tokio::test]
async fn every_change_is_in_the_audit_log() {
    let server = Server::start().await;
    let (id, key) = made(&server, json!({ "name": "CI", "write": true })).await;
    let auth = json!({ "mode": "flag", "api_key": "0D5E2B1C-7A44-4F0E", "secret": "s3xt4nt-demo-secret" });
    let app = json!({ "name": "Shop", "platform": "iOS", "install_auth": auth });
    let app = with(&server, &key, "POST /apps", app).await.is(201).json();
    let change = json!({ "name": "Shoes", "settings": { "attribution.windows.click_modeled": "1d" } });
    with(&server, &key, &format!("PATCH /apps/{}", app["id"]), change).await.is(200);
    let trigger = json!({ "app_id": app["id"], "type": "install", "title": "t", "template_id": 3373, "context":
        { "cpi_mostback_url": "https://me:hush-hush@partner.example.com/pb", "sx_token": "t0k3n-t0k3n" } });
    let trigger = server.post("/postbacks", trigger).await.is(201).json();
    server.delete(&format!("/postbacks/{}", trigger["data"][0]["id"])).await.is(200);

    let of_app = format!("/api/audit?kind=app&id={}", app["id"]);
    let log = server.get(&of_app).await.is(200).json();
    let rows = log["data"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{log}");
    let (changed, created) = (&rows[0], &rows[1]);
    assert_eq!((&created["action"], &created["before"]), (&json!("created"), &Value::Null), "{created}");
    assert_eq!(created["by"]["key_id"], json!(id), "{created}");
    assert_eq!(
        (&changed["action"], &changed["by"]["key_name"]),
        (&json!("changed"), &json!("CI")),
        "{changed}"
    );
    assert_eq!((&changed["before"]["name"], &changed["after"]["name"]), (&json!("Shop"), &json!("Shoes")));
    let fields = changed["changed"].as_array().unwrap();
    assert!(fields.contains(&json!("name")), "{changed}");
    assert!(fields.contains(&json!("settings.attribution.windows.click_modeled")), "{changed}");
    assert!(!fields.contains(&json!("platform")), "{changed}");

    let log = server.get("/api/audit?kind=trigger").await.is(200).json();
    assert_eq!(
        (&log["data"][0]["action"], &log["data"][1]["action"]),
        (&json!("deleted"), &json!("created"))
    );
    // Secrets are not in it, in whatever field.
    let whole = server.get("/api/audit?limit=1000").await.is(200).text();
    for secret in ["s3xt4nt-demo-secret", "hush-hush", "t0k3n-t0k3n", "0D5E2B1C-7A44-4F0E", key.as_str(), KEY]
    {
        assert!(!whole.contains(secret), "{secret} in {whole}");
    }
    // Filters: by key, by time; what the server does itself has nobody behind it.
    let by = server.get(&format!("/api/audit?key={id}")).await.is(200).json();
    assert_eq!(by["data"].as_array().unwrap().len(), 2, "{by}");
    let at = changed["at"].as_str().unwrap();
    let later = server.get(&format!("{of_app}&since={at}")).await.is(200).json();
    assert_eq!(later["data"].as_array().unwrap().len(), 1, "{later}");
    let earlier = server.get(&format!("{of_app}&until={at}")).await.is(200).json();
    assert_eq!(earlier["data"].as_array().unwrap().len(), 1, "{earlier}");
    let own = server.get("/api/audit?kind=settings").await.is(200).json();
    assert_eq!(own["data"][0]["by"], Value::Null, "{own}");
    server.get("/api/audit?kind=weather").await.is(400);
    server.get("/api/audit?since=yesterday").await.is(400);
}
