//! `sextant demo` and `sextant simulate` as a person runs them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

const KEY: &str = "0D5E2B1C-7A44-4F0E-9B1D-3C2A1F6E8D90";

fn sextant(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sextant"));
    command.args(arguments).current_dir(home).stdin(Stdio::null());
    command
}

fn ran(home: &Path, arguments: &[&str]) -> Output {
    sextant(home, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server that is stopped with the test.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(home: &Path) -> Self {
        let mut child = sextant(home, &["serve", "--listen", "127.0.0.1:0", "--data-dir", "data"])
            .env("SEXTANT_BOOTSTRAP_KEY", KEY)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().strip_prefix("listening on ").map(str::to_owned));
        Self { child, url: format!("http://{}", address.unwrap()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

#[test]
fn the_demo_balances_and_agrees_with_the_truth() {
    let home = tempfile::tempdir().unwrap();
    let demo = ["demo", "--once", "--listen", "127.0.0.1:0", "--count", "150", "--rate", "0", "--seed", "5"];
    // Twice: the second one starts afresh in the same directory.
    for _ in 0..2 {
        let output = ran(home.path(), &demo);
        let (told, complaint) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{told}{complaint}");
        for part in [
            "Ledger: it balances",
            "device identifier",
            "modeled",
            "organic",
            "click-to-postback",
            "attributed to",
        ] {
            assert!(told.contains(part), "{part} is missing in:\n{told}");
        }
    }
}

#[test]
fn a_taken_port_is_told_with_the_way_out() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = ran(home.path(), &["demo", "--once", "--listen", &address]);
    assert!(!output.status.success());
    let complaint = text(&output.stderr);
    assert!(complaint.contains("--listen") && complaint.contains(&address), "{complaint}");
    assert!(!home.path().join("data").exists(), "nothing is made before the address is known to be free");
}

#[test]
fn any_running_server_can_be_sent_to() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(home.path());
    let simulate = |key: &str| {
        ran(home.path(), &["simulate", "--url", &server.url, "--key", key, "--count", "40", "--rate", "0"])
    };
    // Again with the same seed: other apps, so that nobody is known yet.
    for _ in 0..2 {
        let output = simulate(KEY);
        let (told, complaint) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{told}{complaint}");
        assert!(told.contains("Ledger: it balances"), "{told}");
    }
    let refused = simulate("no such key");
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("401"), "{}", text(&refused.stderr));
}
