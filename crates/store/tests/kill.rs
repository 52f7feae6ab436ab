//! What was acknowledged is there after the process was killed, and nothing is there by halves.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use measure::{
    ledger::{Counter, Tally, count},
    postback::DeliveryState,
};
use store::{
    Batch, Fjall, Options, Store as _,
    conformance::sample::{APP, day, delivery, delivery_id, fact, input, settlement},
};

/// Tells the child where to write.
const FOLDER: &str = "STORE_KILL_TEST_FOLDER";

fn open(path: &Path) -> Fjall {
    Fjall::open(path, Options::default()).unwrap()
}

/// Facts `from..from + 3`, with one delivery each.
fn batch(from: u64) -> Batch {
    let mut tally = Tally::new();
    count(&mut tally, Some(APP), Counter::Created, 3);
    Batch {
        now: day(1),
        facts: (from..from + 3).map(fact).collect(),
        deliveries: (from..from + 3).map(|n| delivery(u128::from(n), day(1))).collect(),
        tally,
        ..Batch::default()
    }
}

/// Not a test: what the test below runs and kills. Writes until then, saying what was acknowledged.
#[test]
#[ignore = "it is the process that the other test kills"]
fn victim() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = open(Path::new(&folder));
    // Bounded, in case that nobody kills it.
    for _ in 0..20_000 {
        let from = store.last_sequence().unwrap() + 1;
        store.commit(&batch(from)).unwrap();
        println!("committed {}", from + 2);
        for lease in store.lease(day(1), day(2), 2).unwrap() {
            let n = lease.delivery.id.0.as_u128();
            let settled = store.settle(&[settlement(n, lease.fence, DeliveryState::Delivered, None)]);
            assert_eq!(settled.unwrap(), [true]);
            println!("settled {n}");
        }
    }
}

/// Kills a victim after it said `lines` things, and returns everything it said.
fn kill_after(folder: &Path, lines: usize) -> Vec<(String, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    let mut killed = false;
    while let Some(Ok(line)) = output.next() {
        if let Some((what, n)) = line.split_once(' ')
            && let Ok(n) = n.parse()
            && matches!(what, "committed" | "settled")
        {
            said.push((what.to_owned(), n));
        }
        if said.len() >= lines && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "the victim ended by itself after {} lines", said.len());
    said
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    for lines in [1, 20, 57, 130] {
        said.extend(kill_after(folder.path(), lines));
        let store = open(folder.path());
        let last = store.last_sequence().unwrap();
        assert_eq!(last % 3, 0, "half a batch is there");
        let all = usize::try_from(last).unwrap();
        assert_eq!(store.facts(1, all + 1).unwrap(), (1..=last).map(fact).collect::<Vec<_>>());
        let mut delivered = 0;
        for n in 1..=last {
            assert!(store.fact(input(u128::from(n))).unwrap().is_some());
            let delivery = store.delivery(delivery_id(u128::from(n))).unwrap().unwrap();
            delivered += i64::from(delivery.state == DeliveryState::Delivered);
        }
        let tally = store.tally().unwrap();
        let counted = |counter| tally.get(&(Some(APP), counter)).copied().unwrap_or_default();
        assert_eq!(counted(Counter::Created), i64::try_from(last).unwrap());
        assert_eq!(counted(Counter::Delivered), delivered);
        for (what, n) in &said {
            let delivery = store.delivery(delivery_id(u128::from(*n))).unwrap();
            match what.as_str() {
                "committed" => assert!(*n <= last, "fact {n} was acknowledged, {last} is the last"),
                _ => assert_eq!(delivery.unwrap().state, DeliveryState::Delivered, "delivery {n}"),
            }
        }
    }
    assert!(said.len() >= 208);
}
