//! The command line and the settings (issue "Command line"; DECISIONS 31, 32).

use reqwest::Method;
use tempfile::TempDir;

use crate::harness::{
    Answered as _, KEY, Server, Value, json,
    program::{Process, program, run},
};

#[track_caller]
fn printed(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = run(arguments, environment);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[track_caller]
fn complaint(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let output = run(arguments, environment);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "no failure: {}", String::from_utf8_lossy(&output.stdout));
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[test]
fn help_lists_the_commands() {
    let text = printed(&["--help"], &[]);
    for command in ["serve", "config", "demo", "simulate", "what-if"] {
        assert!(text.contains(command), "{command} is missing in: {text}");
    }
}

#[test]
fn config_prints_every_value_with_its_source() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("sextant.toml");
    std::fs::write(&file, "[attribution]\nclock_skew = \"90s\"\n[ingest]\nhold = \"2h\"\n").unwrap();
    let text = printed(
        &["config", "--config", file.to_str().unwrap(), "--listen", "127.0.0.1:8123"],
        &[("SEXTANT_INGEST_HOLD", "3h"), ("SEXTANT_COURIER_ALLOW_TARGETS", "127.0.0.0/8,10.0.0.0/8")],
    );
    let line = |name: &str| {
        let found = text.lines().find(|line| line.starts_with(name));
        found.unwrap_or_else(|| panic!("{name} is missing in: {text}")).to_owned()
    };
    let check = |name: &str, value: &str, source: &str| {
        let line = line(name);
        assert!(line.contains(value), "{value} in {line}");
        assert!(line.to_lowercase().contains(source), "{source} in {line}");
    };
    check("server.listen", "127.0.0.1:8123", "command line");
    check("attribution.clock_skew", "90s", "sextant.toml");
    check("ingest.hold", "3h", "sextant_ingest_hold");
    check("courier.allow_targets", "10.0.0.0/8", "sextant_courier_allow_targets");
    check("tracking.accept_click_time", "false", "default");
    check("click.commit_wait", "250ms", "default");
    check("limits.app_requests_per_second", "0", "default");
}

#[test]
fn wrong_settings_are_named_and_refused() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let data = data.to_str().unwrap();
    let serve = ["serve", "--data-dir", data, "--listen", "127.0.0.1:0"];
    let check = |name: &str, value: &str, word: &str| {
        let text = complaint(&serve, &[(name, value)]);
        assert!(text.contains(word), "{word} is missing in: {text}");
    };
    check("SEXTANT_INGEST_HOLD", "soon", "ingest.hold");
    check("SEXTANT_POSTBACKS_HOLD_INSTALL", "601s", "postbacks.hold_install");
    check("SEXTANT_COURIER_ALLOW_TARGETS", "everywhere", "courier.allow_targets");
    check("SEXTANT_COURIER_CA_FILE", "/nowhere/ca.pem", "courier.ca_file: /nowhere/ca.pem");
    check("SEXTANT_COURIER_CA_FILE", "/dev/null", "courier.ca_file: /dev/null: holds no certificate");
    check("SEXTANT_TRACKING_ACCEPT_CLICK_TIME", "perhaps", "tracking.accept_click_time");
    check("SEXTANT_LIMITS_APP_REQUESTS_PER_SECOND", "-1", "limits.app_requests_per_second");

    let file = directory.path().join("sextant.toml");
    std::fs::write(&file, "[ingest]\nholt = \"2h\"\n").unwrap();
    let text = complaint(&[&serve[..], &["--config", file.to_str().unwrap()]].concat(), &[]);
    assert!(text.contains("holt"), "{text}");
    let text = complaint(&[&serve[..], &["--config", "/nowhere/sextant.toml"]].concat(), &[]);
    assert!(text.contains("/nowhere/sextant.toml"), "{text}");
    complaint(&["serve", "--data-dir", data, "--listen", "nowhere"], &[]);
    complaint(&["server"], &[]);
}

#[test]
fn what_orchestrators_put_into_the_environment_is_no_setting() {
    let environment = [
        ("SEXTANT_CONFIG", ""),
        ("SEXTANT_PORT", "tcp://10.0.0.1:80"),
        ("SEXTANT_SERVICE_HOST", "10.0.0.1"),
        ("SEXTANT_TRACKING_ACCEPT_CLICK_TIME", "1"),
    ];
    let text = printed(&["config"], &environment);
    assert!(
        text.contains("tracking.accept_click_time = true  # SEXTANT_TRACKING_ACCEPT_CLICK_TIME\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_settings_file_is_in_force_where_nothing_stronger_speaks() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("sextant.toml");
    let settings = r#"
        [server]
        listen = "127.0.0.1:1"
        public_url = "https://link.example.com"
        [limits]
        app_requests_per_second = 0
        [publisher_api]
        duplicate_status = 400
    "#;
    std::fs::write(&file, settings).unwrap();
    let mut command = program();
    command.arg("serve").arg("--config").arg(&file).arg("--data-dir").arg(directory.path().join("data"));
    command.args(["--listen", "127.0.0.1:0"]).env("SEXTANT_BOOTSTRAP_KEY", KEY);
    let mut served = Process::start(command, &directory.path().join("log"));
    let address = served.says("listening on ").await;
    assert_ne!(address, "127.0.0.1:1", "the command line is stronger than the file");
    let client = Server::start().await;
    let call = async |path: &str, body: Value| {
        let request = client.foreign(Method::POST, &format!("http://{address}{path}"));
        request.header("Authentication-Key", KEY).body(body.to_string()).answer().await
    };
    let web = json!({ "name": "Web", "platform": "Web", "guid": "koweb-1" });
    call("/apps", web).await.is(201);
    let init = json!({ "action": "init", "kochava_app_id": "koweb-1", "data": {} });
    let told = call("/track/kvinit", init).await.is(200).json();
    let event = &told["networking"]["urls"]["event"];
    assert_eq!(event, "https://link.example.com/track/json/", "public_url is the file's: {told}");
    let trigger = json!({ "app_id": 1, "type": "install", "template_id": 3373, "title": "x",
                          "context": { "cpi_mostback_url": "https://partner.example.com/pb" } });
    call("/postbacks", trigger.clone()).await.is(201);
    call("/postbacks", trigger).await.is(400);
}

#[tokio::test]
async fn an_address_in_use_and_a_directory_in_use_are_errors() {
    let server = Server::start().await;
    let directory = TempDir::new().unwrap();
    let own = directory.path().join("data");
    let taken = server.address().to_string();
    let text = complaint(&["serve", "--data-dir", own.to_str().unwrap(), "--listen", &taken], &[]);
    assert!(text.contains(&taken), "{text}");
    assert_eq!(text.matches("in use").count(), 1, "{text}");
    assert!(!own.exists(), "no key is made that nobody was shown");

    let data = server.data();
    complaint(&["serve", "--data-dir", data.to_str().unwrap(), "--listen", "127.0.0.1:0"], &[]);
    server.get("/apps").await.is(200);
}

#[tokio::test]
async fn a_generated_key_is_printed_once_and_works() {
    let directory = TempDir::new().unwrap();
    let start = || {
        let mut command = program();
        command.arg("serve").arg("--data-dir").arg(directory.path().join("data"));
        command.args(["--listen", "127.0.0.1:0"]);
        Process::start(command, &directory.path().join("log"))
    };
    let client = Server::start().await;
    let list = async |address: &str, key: &str| {
        let url = format!("http://{address}/apps");
        client.foreign(Method::GET, &url).header("Authentication-Key", key).answer().await.status
    };

    let mut first = start();
    let address = first.says("listening on ").await;
    let key = first.says("management key: ").await;
    assert!(key.len() >= 32, "{key} is too short to hold 128 bits");
    assert_eq!(list(&address, &key).await, 200);
    first.ask_to_end();
    assert_eq!(first.ended().await.code(), Some(0));

    let mut second = start();
    let address = second.says("listening on ").await;
    assert_eq!(list(&address, &key).await, 200);
    assert!(!second.printed().iter().any(|line| line.contains("key")), "{:?}", second.printed());
}

#[tokio::test]
async fn the_bootstrap_key_acts_on_an_empty_directory_only() {
    let server = Server::start().await;
    server.get("/apps").await.is(200);
    server.terminate().await;

    let directory = server.data();
    let mut command = program();
    command.arg("serve").arg("--data-dir").arg(&directory).args(["--listen", "127.0.0.1:0"]);
    command.env("SEXTANT_BOOTSTRAP_KEY", "0E0E0E0E-1111-2222-3333-444444444444");
    let mut again = Process::start(command, &directory.join("../log"));
    let address = again.says("listening on ").await;
    let url = format!("http://{address}/apps");
    let list = async |key: &str| {
        server.foreign(Method::GET, &url).header("Authentication-Key", key).answer().await.status
    };
    assert_eq!(list("0E0E0E0E-1111-2222-3333-444444444444").await, 401);
    assert_eq!(list(KEY).await, 200);
    assert!(again.printed().iter().all(|line| !line.contains("key")), "{:?}", again.printed());
}

#[tokio::test]
async fn management_can_have_an_address_of_its_own() {
    let server = Server::with(&[("SEXTANT_ADMIN_LISTEN", "127.0.0.1:0")]).await;
    let printed = server.printed();
    let admin = printed.iter().find_map(|line| line.strip_prefix("management listening on "));
    let admin = admin.unwrap_or_else(|| panic!("no management address in {printed:?}")).to_owned();
    let public = server.address().to_string();
    let ask = async |address: &str, path: &str| {
        let url = format!("http://{address}{path}");
        server.foreign(Method::GET, &url).header("Authentication-Key", KEY).answer().await.status
    };
    for path in ["/apps", "/networks", "/api/ledger", "/api/deliveries"] {
        assert_eq!(ask(&admin, path).await, 200, "{path} on the management address");
        assert_eq!(ask(&public, path).await, 404, "{path} on the public address");
    }
    for address in [&admin, &public] {
        assert_eq!(ask(address, "/healthz").await, 200);
        assert_eq!(ask(address, "/readyz").await, 200);
    }
    let url = format!("http://{admin}/track/json");
    let sent = server.foreign(Method::POST, &url).body("{}").answer().await;
    assert_eq!(sent.status, 404, "ingest on the management address");
}

#[tokio::test]
async fn logs_can_be_structured() {
    let server = Server::with(&[("SEXTANT_LOG_FORMAT", "json"), ("SEXTANT_LOG_LEVEL", "debug")]).await;
    let app = server.app("iOS").await;
    app.install("SX-1", json!({ "device_ids": { "custom": "qa-1" } })).await;
    server.terminate().await;
    let log = server.log();
    assert!(!log.is_empty());
    for line in log.lines() {
        let parsed: Result<Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok_and(|line| line.is_object()), "not a JSON object: {line}");
    }
}

#[tokio::test]
async fn forwarded_addresses_count_only_from_trusted_proxies() {
    for (proxies, believed) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let server = Server::with(&[("SEXTANT_SERVER_TRUSTED_PROXIES", proxies)]).await;
        let app = server.app("Android").await;
        let link = app.link("Example Network").await;
        let click = server.request(Method::GET, &link.path(""));
        let click = click.header("User-Agent", crate::harness::device::PIXEL);
        click.header("X-Forwarded-For", "203.0.113.24").answer().await.is(302);
        let data = json!({ "origination_ip": "203.0.113.24", "device_ua": crate::harness::device::PIXEL });
        app.install("SX-1", data).await;
        let expected = if believed { "modeled" } else { "organic" };
        assert_eq!(app.class("SX-1").await, expected, "proxies {proxies}");
    }
}

#[tokio::test]
async fn it_speaks_tls_with_a_certificate_of_its_own() {
    let directory = TempDir::new().unwrap();
    let fixture = |name: &str| format!("{}/../../tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut command = program();
    command
        .arg("serve")
        .arg("--data-dir")
        .arg(directory.path().join("data"))
        .args(["--listen", "127.0.0.1:0"]);
    command.args(["--tls-cert", &fixture("cert.pem"), "--tls-key", &fixture("key.pem")]);
    command.env("SEXTANT_BOOTSTRAP_KEY", KEY);
    let mut process = Process::start(command, &directory.path().join("log"));
    let address = process.says("listening on ").await;
    // Makes the provider of cryptography known to this process as well.
    let server = Server::start().await;
    let certificate = std::fs::read(fixture("cert.pem")).unwrap();
    let certificate = reqwest::Certificate::from_pem(&certificate).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([certificate]).build().unwrap();
    let url = format!("https://{address}/apps");
    let body = json!({ "name": "Shop", "platform": "iOS" });
    client.post(&url).header("Authentication-Key", KEY).json(&body).answer().await.is(201);
    let plain = server.foreign(Method::GET, &format!("http://{address}/apps")).try_answer().await;
    assert!(plain.is_none_or(|answer| answer.status != 200), "plain HTTP on a TLS port");

    complaint(
        &[
            "serve",
            "--data-dir",
            "/nowhere/at/all",
            "--listen",
            "127.0.0.1:0",
            "--tls-cert",
            &fixture("cert.pem"),
        ],
        &[],
    );
}

#[tokio::test]
async fn tracking_links_begin_with_the_public_url() {
    let server = Server::with(&[("SEXTANT_SERVER_PUBLIC_URL", "https://link.example.com/")]).await;
    let app = server.app("iOS").await;
    let link = app.link("Example Network").await;
    let shown = server.get(&format!("/tracker/{}/{}", app.id, link.id)).await.is(200).json();
    let url = shown["click_tracking_url"].as_str().unwrap();
    assert!(url.starts_with("https://link.example.com/v1/cpi/click?"), "{url}");
}
