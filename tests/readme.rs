//! What the README tells a new user to type, typed.

use std::process::Command;

use crate::harness::{KEY, Server, Sink, Value};

const README: &str = include_str!("../README.md");

/// The fenced blocks from the one marked `quick start` on.
fn blocks() -> Vec<String> {
    let start = README.find("```sh quick start\n").expect("the README has a quick start");
    let parts = README[start..].split("```").skip(1).step_by(2);
    parts.map(|block| block.split_once('\n').expect("a first line").1.to_owned()).collect()
}

/// Types a block into a shell and gives what it prints; every call has to succeed.
async fn typed(block: String) -> String {
    let script = format!("set -e\n{}", block.replace("curl -s", "curl --fail-with-body -s"));
    let run = move || Command::new("sh").args(["-c", &script]).output().expect("a shell");
    let output = tokio::task::spawn_blocking(run).await.expect("the shell ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[tokio::test]
async fn five_calls_make_an_app_whose_installs_are_measured() {
    let server = Server::start().await;
    let sink = Sink::start().await;
    let address = format!("http://{}", server.address());
    let blocks = blocks();
    let calls = blocks[0].lines().filter(|line| line.starts_with("curl")).count();
    assert_eq!(calls, 5, "{}", blocks[0]);
    let adapt = |text: &str| {
        let text = text.replace("http://127.0.0.1:8080", &address).replace("choose-a-long-key", KEY);
        text.replace("https://partner.example.com", &sink.url(""))
    };
    typed(adapt(&blocks[0])).await;

    let trackers = server.get("/tracker/1").await.is(200).json();
    let guid = trackers[0]["guid"].as_str().expect("the tracker has a guid");
    let settings: String = blocks[0].lines().filter(|line| line.starts_with("S=")).collect();
    let next = format!("{settings}\n{}", blocks[1].replace("<guid of the tracker>", guid));
    let printed = typed(adapt(&next)).await;
    let answer: Value = serde_json::from_str(printed.trim().lines().last().expect("an answer").trim())
        .or_else(|_| serde_json::from_str(&printed[printed.rfind("{\"success\":1").expect("an answer")..]))
        .unwrap_or_else(|error| panic!("{error} in {printed}"));
    assert_eq!(answer["decision"]["class"], "device_id", "{answer}");
    assert_eq!(answer["data"]["attribution"]["network"], "Example Network", "{answer}");
    let hit = sink.receives("/pb", 1).await.remove(0);
    assert_eq!(hit.parameter("click").as_deref(), Some("abc"));
    assert_eq!(hit.parameter("device").as_deref(), Some("SX-1"));
    server.balanced().await;
}
