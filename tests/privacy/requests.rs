//! Requests of people to erase or to see what is on record of them (docs/privacy.md).

use reqwest::Method;

use super::{forms, occurrences};
use crate::harness::{Answered as _, App, KEY, Link, Reply, Server, Sink, Value, device, eventually, json};

/// The md5 of the lower-case identifier with separators.
const ADID: &str = "5b2f0c11-8d3e-4f6a-9c77-00aa11bb22cc";
const ADID_MD5: &str = "f4de269620fce47074b1fb555f691a4e";
const OTHER: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
const DEVICE: &str = "SX-subject-4711";
const USER: &str = "sam.subject@example.com";
const ADDRESS: &str = "198.51.100.77";

/// What tells of the subject, in every writing that was sent.
fn needles() -> Vec<String> {
    let fixed = [DEVICE, USER, ADDRESS];
    forms(ADID).into_iter().chain(fixed.map(str::to_owned)).collect()
}

/// What a person leaves behind: a click, an install, an event, a link, and a thing that never joins.
async fn leave_traces(
    app: &App,
    link: &Link,
    adid: &str,
    kochava: &str,
    user: &str,
    address: &str,
) -> Vec<String> {
    let click =
        link.click(&format!("adid={adid}&ip_address={address}&click_id=partner-click-of-{user}")).await;
    let mut inputs = vec![click.replace("clk_", "in_")];
    let data = |more: Value| {
        let mut data = json!({ "origination_ip": address, "device_ver": "Pixel 8-Android-14",
                               "device_ids": { "adid": adid } });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        data
    };
    inputs.push(app.install(kochava, data(json!({ "identity_link": { "user_id": user } }))).await);
    let bought =
        json!({ "event_name": "Purchase", "event_data": { "sum": 9.9, "note": format!("for {user}") } });
    inputs.push(app.send("event", kochava, data(bought)).await.accepted());
    inputs.push(app.event(kochava, "View", json!({ "adid_again": adid.to_uppercase() })).await);
    inputs
}

async fn done(server: &Server, job: &Value) -> Value {
    let path = format!("/accounts/42/privacy/jobs/{}", job["job_id"].as_str().expect("a job"));
    eventually("the request is done", async || {
        let answer = server.get(&path).await.is(200).json();
        (answer["job_status"] == "completed").then_some(answer)
    })
    .await
}

fn of_device(kind: &str, value: &str) -> Value {
    json!({ "device_ids": [{ "id_type": kind, "id_value": value }], "email": "dpo@example.com" })
}

#[tokio::test]
async fn a_scrub_reaches_everything_and_late_data_is_refused() {
    let server = Server::with(&[("SEXTANT_LOG_LEVEL", "info")]).await;
    let sink = Sink::start().await;
    // One partner answers with what it was sent, the other never takes it.
    sink.on("/echo", [Reply::Text("got 5b2f0c11-8d3e-4f6a-9c77-00aa11bb22cc, thanks")]);
    sink.on("/down", [Reply::Status(503)]);
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let url = |path: &str| sink.url(&format!("{path}?d={{adid}}&k={{kochava_device_id}}&c={{click_id}}"));
    app.trigger("install", json!({ "cpi_mostback_url": url("/echo"), "sx_delivery": "all" })).await;
    app.trigger("event", json!({ "cpi_mostback_url": url("/down"), "sx_delivery": "all" })).await;
    let mine = leave_traces(&app, &link, ADID, DEVICE, USER, ADDRESS).await;
    let others = leave_traces(&app, &link, OTHER, "SX-other", "kim@example.com", "198.51.100.8").await;
    server.settled("", "delivered", 2).await;
    eventually("the dead partner was tried", async || (sink.hits("/down").len() >= 4).then_some(())).await;
    let before = server.balanced().await;
    let installs = app.attribution(DEVICE).await;

    let path = format!("/accounts/42/apps/{}/privacy/scrub", app.id);
    let queued = server.post(&path, of_device("adid", &ADID.to_uppercase())).await.is(200).json();
    let fields = (&queued["status"], &queued["response"], &queued["job_status"]);
    assert_eq!(fields, (&json!("OK"), &json!("200"), &json!("queued")), "{queued}");
    let job = done(&server, &queued).await;
    assert_eq!(
        job["found"],
        json!({ "devices": 1, "inputs": 4, "deliveries": 4, "quarantined": 0 }),
        "{job}"
    );

    // The record still counts it, and the books still balance: what was pending is suppressed.
    let after = server.balanced().await;
    assert_eq!(after["inputs"]["by_kind"], before["inputs"]["by_kind"]);
    let postbacks = &after["postbacks"];
    assert_eq!(postbacks["suppressed"]["erased"], 2, "{after}");
    assert_eq!(
        (&postbacks["due"], &postbacks["delivered"]),
        (&before["postbacks"]["due"], &json!(2)),
        "{after}"
    );
    for input in &mine {
        let answer = server.input(input).await;
        assert!(answer["flags"].as_array().unwrap().contains(&json!("erased")), "{answer}");
    }
    for input in &others {
        let answer = server.input(input).await;
        assert!(!answer["flags"].as_array().unwrap().contains(&json!("erased")), "{answer}");
    }
    server.get(&format!("/v1/apps/{}/attribution/{DEVICE}", app.guid)).await.is(404);
    let id = installs["data"]["install_id"].as_str().unwrap();
    let left = server.get(&format!("/v1/apps/{}/attribution/{id}", app.guid)).await.is(200).json();
    assert_eq!(left["decision"]["class"], installs["decision"]["class"], "{left}");
    assert_eq!(app.class("SX-other").await, "device_id");

    // Late data is refused, in every form; nobody else's is.
    late_data_is_refused(&server, &app, &link).await;
    app.event("SX-other", "Purchase", json!({ "sum": 1 })).await;
    server.balanced().await;

    for answer in
        ["/api/deliveries?limit=500", "/api/deliveries?limit=500&state=suppressed", "/api/audit?limit=1000"]
    {
        let text = server.get(answer).await.is(200).text();
        assert!(needles().iter().all(|needle| !text.contains(needle.as_str())), "{text}");
    }
    server.terminate().await;
    let found = occurrences(&server.data(), &needles());
    assert!(found.is_empty(), "{found:#?}");
    let kept = occurrences(&server.data(), &[OTHER.to_owned(), "SX-other".to_owned()]);
    assert!(!kept.is_empty(), "the files are not readable as they are");
    server.start_again().await;
    late_data_is_refused(&server, &app, &link).await;
    app.event("SX-other", "Purchase", json!({ "sum": 1 })).await;
}

async fn late_data_is_refused(server: &Server, app: &App, link: &Link) {
    let ids = json!({ "origination_ip": ADDRESS, "device_ids": { "adid": ADID } });
    app.send("install", "SX-new-one", ids).await.refused(410);
    let event = json!({ "event_name": "Purchase", "event_data": {} });
    app.send("event", DEVICE, event).await.refused(410);
    app.send("update", DEVICE, json!({ "device_ids": { "android_id": "a1b2c3d4e5f6a7b8" } }))
        .await
        .refused(410);
    for query in
        [format!("adid={ADID}"), format!("device_id={ADID_MD5}&device_id_type=adid&device_id_is_hashed=true")]
    {
        let path = link.path(&format!("pbr=1&{query}"));
        server.request(Method::GET, &path).answer().await.refused(410);
        // A person is sent on, as ever, and nothing is kept.
        let answer = link.browse(&query, device::PIXEL).await.is(302);
        assert!(answer.header("location").starts_with("https://shop.example.com/"));
        assert!(answer.inputs().is_empty());
    }
    let array = json!([
        app.body("event", DEVICE, json!({ "event_name": "A" })),
        app.body("event", "SX-other", json!({ "event_name": "A" }))
    ]);
    let answer = server.sends("/track/json", array.to_string()).await.is(200);
    assert_eq!(answer.inputs().len(), 1);
    assert_eq!(answer.json()["rejected"][0]["index"], 0, "{}", answer.text());
}

/// What senders have written where nobody expects it, and as their formats write it, is found as well.
#[tokio::test]
async fn a_value_is_found_however_it_is_written() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    let url = sink.url("/pb?u={cp_0}");
    app.trigger("click", json!({ "cpi_mostback_url": url, "sx_delivery": "all" })).await;
    let by_user = json!({ "identity_link": { "user_id": USER } });
    app.install(DEVICE, by_user).await;
    let click = link.click("cp_0=sam.subject%40example.com&site_id=sam%2Esubject%40example.com").await;
    let nested = "url=https%3A%2F%2Fshop.example.com%2F%3Fu%3Dsam.subject%2540example.com";
    let view = link.click(nested).await;
    let body = app.body("event", "SX-other", json!({ "event_name": "View", "event_data": { "note": USER } }));
    let escaped = body.to_string().replace(USER, "sam.subject\\u0040example.com");
    let event = server.sends("/track/json", escaped).await.accepted();
    let form = |more: &[(&str, &str)]| -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs([
                ("action", "event"),
                ("kochava_app_id", &app.guid),
                ("kochava_device_id", "SX-third"),
            ])
            .extend_pairs([("data[event_data][note]", USER)])
            .extend_pairs(more)
            .finish()
    };
    let posted = server.sends("/track/json", form(&[("data[event_name]", "View")])).await.accepted();
    // What cannot be used lies in quarantine, in the form that it came in.
    server.sends("/track/json", form(&[])).await.refused(400);
    server.settled("", "delivered", 2).await;

    let by_link = json!({ "identity_links": [{ "name": "user_id", "value": USER }] });
    let job = server.post("/accounts/42/privacy/scrub", by_link).await.is(200).json();
    let found = done(&server, &job).await["found"].clone();
    assert_eq!(found, json!({ "devices": 1, "inputs": 5, "deliveries": 2, "quarantined": 1 }));
    for input in [click.replace("clk_", "in_"), view.replace("clk_", "in_"), event, posted] {
        let answer = server.input(&input).await;
        assert!(answer["flags"].as_array().unwrap().contains(&json!("erased")), "{answer}");
    }
    server.terminate().await;
    let needles = [USER, "sam.subject%40", "sam%2Esubject", "sam.subject%2540", "sam.subject\\u0040"];
    let found = occurrences(&server.data(), &needles.map(str::to_owned));
    assert!(found.is_empty(), "{found:#?}");
}

/// The links of a device are found by any of its identifiers, and looked for as they are; whoever shares one keeps
/// what is theirs.
#[tokio::test]
async fn the_links_of_a_device_are_looked_for_and_lead_to_no_other() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    app.install(DEVICE, json!({ "device_ids": { "adid": ADID } })).await;
    let linked = |user: &str| json!({ "identity_link": { "email": user, "plan": "standard" } });
    // The first address was replaced; it is on record all the same.
    for user in ["sam.before@example.com", USER] {
        app.send("identityLink", DEVICE, linked(user)).await.accepted();
    }
    // A tablet of the household has the same address, and many have the same plan.
    let tablet = app.install("SX-tablet", json!({ "device_ids": { "adid": OTHER } })).await;
    let theirs = app.send("identityLink", "SX-tablet", linked(USER)).await.accepted();
    for n in 0..10 {
        app.install(&format!("SX-many-{n}"), json!({ "identity_link": { "plan": "standard" } })).await;
    }
    let mut mine = Vec::new();
    for text in [USER, "sam.before@example.com"] {
        mine.push(link.click(&format!("cp_1={text}")).await.replace("clk_", "in_"));
    }
    let common = link.click("cp_1=standard").await.replace("clk_", "in_");
    let broken = json!({ "action": "event", "kochava_app_id": app.guid, "data": { "note": USER } });
    server.sends("/track/json", broken.to_string()).await.refused(400);

    let job = server.post("/accounts/42/privacy/scrub", of_device("adid", ADID)).await.is(200).json();
    let found = done(&server, &job).await["found"].clone();
    assert_eq!(found, json!({ "devices": 1, "inputs": 5, "deliveries": 0, "quarantined": 1 }));
    for (input, erased) in
        mine.iter().map(|input| (input, true)).chain([&tablet, &theirs, &common].map(|input| (input, false)))
    {
        let answer = server.input(input).await;
        assert_eq!(answer["flags"].as_array().unwrap().contains(&json!("erased")), erased, "{answer}");
    }
    app.event("SX-tablet", "View", json!({})).await;
    let kept = server.post("/accounts/42/privacy/access", of_device("adid", OTHER)).await.is(200).json();
    let kept = done(&server, &kept).await;
    assert_eq!(kept["data"]["devices"][0]["identity_links"]["email"], USER, "{kept}");
    let quarantined = server.get(&format!("/api/apps/{}/quarantine", app.id)).await.is(200).text();
    assert!(!quarantined.contains(USER), "{quarantined}");
    server.terminate().await;
    let found = occurrences(&server.data(), &["sam.before@example.com".to_owned()]);
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn an_idfa_finds_the_device_that_was_sent_it_as_its_own_name() {
    let server = Server::start().await;
    let app = server.app("iOS").await;
    let sent = json!({ "device_ver": "iPhone-iOS-17.5", "device_ids": { "idfa": ADID } });
    let install = app.install(ADID, sent).await;
    let queued = server.post("/accounts/42/privacy/scrub", of_device("idfa", &ADID.to_uppercase())).await;
    let job = done(&server, &queued.is(200).json()).await;
    assert_eq!(job["found"]["devices"], 1, "{job}");
    let answer = server.input(&install.replace("ins_", "in_")).await;
    assert!(answer["flags"].as_array().unwrap().contains(&json!("erased")), "{answer}");
    app.send("event", ADID, json!({ "event_name": "View" })).await.refused(410);
}

#[tokio::test]
async fn a_request_goes_on_after_a_crash() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    leave_traces(&app, &link, ADID, DEVICE, USER, ADDRESS).await;
    let path = "/accounts/42/privacy/scrub";
    let queued = server.post(path, of_device("kochava_device_id", DEVICE)).await.is(200).json();
    server.kill9();
    server.start_again().await;
    let job = done(&server, &queued).await;
    assert_eq!((&job["app_id"], &job["found"]["inputs"]), (&Value::Null, &json!(4)), "{job}");
    server.terminate().await;
    let found = occurrences(&server.data(), &needles());
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn an_account_wide_scrub_reaches_every_app_and_one_of_an_app_only_that() {
    let server = Server::start().await;
    let (one, other) = (server.app("Android").await, server.app("Android").await);
    for app in [&one, &other] {
        app.install(DEVICE, json!({ "device_ids": { "adid": ADID }, "identity_link": { "user_id": USER } }))
            .await;
    }
    let by_link = json!({ "identity_links": [{ "name": "user_id", "value": USER }] });
    let path = format!("/accounts/42/apps/{}/privacy/scrub", one.guid);
    let job = server.post(&path, by_link).await.is(200).json();
    assert_eq!(done(&server, &job).await["found"]["devices"], 1);
    server.get(&format!("/v1/apps/{}/attribution/{DEVICE}", one.guid)).await.is(404);
    one.send("event", DEVICE, json!({ "event_name": "A" })).await.refused(410);
    other.event(DEVICE, "A", json!({})).await;

    // A hash is enough to find the device by.
    let job = server.post("/accounts/42/privacy/scrub", of_device("adid", ADID_MD5)).await.is(200).json();
    assert_eq!(done(&server, &job).await["found"]["devices"], 1);
    other.send("event", DEVICE, json!({ "event_name": "A" })).await.refused(410);
    let listed = server.get("/accounts/42/privacy/jobs?limit=1").await.is(200).json();
    assert_eq!(listed["data"][0]["job_id"], job["job_id"], "{listed}");
    let rest = server.get("/accounts/42/privacy/jobs?limit=1&pageToken=1").await.is(200).json();
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["nextToken"]), (1, &Value::Null), "{rest}");
}

#[tokio::test]
async fn an_access_request_shows_what_is_on_record() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    app.trigger("install", json!({ "cpi_mostback_url": sink.url("/pb?d={adid}"), "sx_delivery": "all" }))
        .await;
    let mine = leave_traces(&app, &link, ADID, DEVICE, USER, ADDRESS).await;
    leave_traces(&app, &link, OTHER, "SX-other", "kim@example.com", "198.51.100.8").await;
    let job = server.post("/accounts/42/privacy/access", of_device("adid", ADID)).await.is(200).json();
    let shown = done(&server, &job).await;
    let data = &shown["data"];
    assert_eq!(data["devices"].as_array().unwrap().len(), 1, "{shown}");
    let device = &data["devices"][0];
    assert_eq!(
        (&device["identifiers"]["adid"], &device["identity_links"]["user_id"]),
        (&json!(ADID), &json!(USER))
    );
    let inputs: Vec<&str> =
        data["inputs"].as_array().unwrap().iter().filter_map(|row| row["input_id"].as_str()).collect();
    assert_eq!(inputs, mine, "{shown}");
    assert!(data["deliveries"][0]["url"].as_str().unwrap().contains(ADID), "{shown}");
    let text = shown.to_string();
    assert!(text.contains(ADDRESS) && !text.contains(OTHER) && !text.contains("kim@example.com"), "{text}");
    let path = format!("/accounts/42/privacy/jobs/{}?limit=3", job["job_id"].as_str().unwrap());
    let page = server.get(&path).await.is(200).json();
    assert_eq!(
        (page["data"]["inputs"].as_array().unwrap().len(), &page["data"]["nextToken"]),
        (3, &json!("3"))
    );
    // It shows what is on record: after a scrub, nothing.
    let scrub = server.post("/accounts/42/privacy/scrub", of_device("adid", ADID)).await.is(200).json();
    done(&server, &scrub).await;
    let text = done(&server, &job).await.to_string();
    assert!(needles().iter().all(|needle| !text.contains(needle.as_str())), "{text}");
}

#[tokio::test]
async fn what_makes_no_request_is_refused() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let many: Vec<Value> =
        (0..101).map(|n| json!({ "id_type": "adid", "id_value": device::advertising_id(n) })).collect();
    for body in [
        json!({}),
        json!({ "device_ids": [] }),
        json!({ "device_ids": "adid" }),
        json!({ "device_ids": ["adid"] }),
        json!({ "device_ids": [{ "id_type": "adid" }] }),
        json!({ "device_ids": [{ "id_type": "adid", "id_value": "{adid}" }] }),
        json!({ "device_ids": [{ "id_type": "adid", "id_value": "00000000-0000-0000-0000-000000000000" }] }),
        json!({ "identity_links": [{ "name": "user_id" }] }),
        json!({ "device_ids": many }),
        json!({ "device_ids": [{ "id_type": "adid", "id_value": ADID }], "divice": 1 }),
    ] {
        for path in ["/accounts/42/privacy/scrub", "/accounts/42/privacy/access"] {
            server.post(path, body.clone()).await.is(400);
        }
    }
    server.post("/accounts/42/apps/999/privacy/scrub", of_device("adid", ADID)).await.is(404);
    server.get("/accounts/42/privacy/jobs/job_1").await.is(404);
    server.get("/accounts/42/privacy/jobs/job_01a1fd22e42e7e22b9035db32300a7a3").await.is(404);
    let key = server
        .post("/api/keys", json!({ "name": "one", "apps": [app.id], "write": true }))
        .await
        .is(201)
        .json();
    for (key, path, status) in [
        ("nobody", "/accounts/42/privacy/scrub".to_owned(), 401),
        (key["key"].as_str().unwrap(), "/accounts/42/privacy/scrub".to_owned(), 403),
        (key["key"].as_str().unwrap(), format!("/accounts/42/apps/{}/privacy/scrub", app.id), 200),
        (KEY, "/accounts/42/privacy/scrub".to_owned(), 200),
    ] {
        let request = server.request(Method::POST, &path).header("Authentication-Key", key);
        request.json(&of_device("adid", ADID)).answer().await.is(status);
    }
}
