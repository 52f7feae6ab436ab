//! The description of the interface, and a fuzzer that believes it (schemathesis).

use std::{path::Path, process::Command, time::Duration};

use reqwest::Method;

use crate::harness::{
    Answered as _, KEY, Server,
    installed::{self, run, skipped},
    json,
};

/// How long the fuzzer may take.
const FUZZING: Duration = Duration::from_secs(600);
/// Cases of each call in each phase; more with `BLACKBOX_FUZZ_CASES`.
const CASES: &str = "2";

#[tokio::test]
async fn every_call_is_described_with_its_key_and_its_errors() {
    let server = Server::start().await;
    let answer = server.request(Method::GET, "/openapi.json").answer().await.is(200);
    let document = answer.json();
    let paths = document["paths"].as_object().unwrap();
    for path in ["/apps", "/track/json", "/v1/track", "/postbacks", "/api/ledger", "/sx.js"] {
        assert!(paths.contains_key(path), "{path} is not described");
    }
    for (path, calls) in paths {
        for (verb, call) in calls.as_object().unwrap() {
            let statuses = call["responses"].as_object().unwrap();
            assert!(
                statuses.keys().any(|status| status.starts_with('2') || status == "302"),
                "{verb} {path}"
            );
            let is_open = ["ingest", "server"].iter().any(|tag| call["tags"][0] == *tag);
            assert_eq!(call.get("security").is_some(), !is_open, "{verb} {path}");
            if !is_open {
                assert!(statuses.contains_key("401") && statuses.contains_key("403"), "{verb} {path}");
            }
        }
    }
}

#[tokio::test]
async fn no_call_fails_and_every_status_is_described() {
    let test = "the fuzzer over /openapi.json";
    let python = match installed::python("fuzzer", "fuzzer.txt").await {
        Ok(python) => python,
        Err(why) => return skipped(test, &why),
    };
    let server = Server::start().await;
    // Something to find, so that not every identifier is an unknown one.
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    link.click("").await;
    app.install("d-1", json!({ "origination_ip": "203.0.113.9" })).await;
    let cases = std::env::var("BLACKBOX_FUZZ_CASES").unwrap_or_else(|_| CASES.to_owned());
    let program = python.parent().unwrap_or(Path::new(".")).join("st");
    // What it leaves behind goes with the test.
    let place = tempfile::tempdir().expect("a directory");
    let mut fuzzer = Command::new(program);
    fuzzer.current_dir(place.path());
    fuzzer.arg("run").arg(format!("http://{}/openapi.json", server.address()));
    fuzzer.args(["--header", &format!("Authentication-Key:{KEY}"), "--max-examples", &cases]);
    fuzzer.args(["--checks", "not_a_server_error,status_code_conformance"]);
    fuzzer.args([
        "--phases",
        "examples,coverage,fuzzing",
        "--continue-on-failure",
        "--no-shrink",
        "--no-color",
    ]);
    // A slow machine is no finding.
    fuzzer.args(["--request-timeout", "60", "--suppress-health-check", "all"]);
    fuzzer.args(["--seed", "1", "--generation-database", "none", "--max-time", "200"]);
    let done = run(&mut fuzzer, FUZZING).await;
    assert_eq!(done, Ok(()));
    server.balanced().await;
}
