//! What became of the traffic, written for people. Only what was measured is printed.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::bail;
use serde_json::Value;
use simulate::{
    check::{Report, Tally},
    run::{Traffic, percentile},
    scenario::{Action, Scenario},
    target::Target,
};

use super::sink::Arrivals;

/// Disagreements that are printed; the rest is counted.
const SHOWN_MAX: usize = 10;

/// The width of sentences, characters.
const WIDTH: usize = 100;

/// What the partner saw of it.
#[derive(Debug)]
pub struct Arrived {
    received: usize,
    distinct: usize,
    installs: Vec<Duration>,
    clicks: Vec<Duration>,
}

impl Arrived {
    /// Puts what was sent and what arrived together: from sending the first request about an install or a
    /// click to its postback at the partner.
    pub fn new(scenario: &Scenario, traffic: &Traffic, arrivals: &Arrivals) -> Self {
        let (mut installs, mut clicks) = (HashMap::new(), HashMap::new());
        for sent in &traffic.sent {
            let Some(person) = scenario.people.get(sent.person) else { continue };
            let (name, first) = match person.steps.get(sent.step).map(|step| &step.action) {
                Some(Action::Install(_)) => (&person.device.kochava_device_id, &mut installs),
                Some(Action::Click(click)) => (&click.click_id, &mut clicks),
                _ => continue,
            };
            let at = first.entry(name.as_str()).or_insert(sent.sent);
            *at = sent.sent.min(*at);
        }
        let took = |first: &HashMap<&str, Instant>, seen: &HashMap<String, Instant>| {
            let pairs = seen.iter().filter_map(|(name, at)| Some((first.get(name.as_str())?, at)));
            pairs.map(|(sent, at)| at.duration_since(*sent)).collect()
        };
        Self {
            received: arrivals.received,
            distinct: arrivals.deliveries.len(),
            installs: took(&installs, &arrivals.installs),
            clicks: took(&clicks, &arrivals.clicks),
        }
    }
}

/// Everything there is to tell.
pub struct Summary {
    /// The seed.
    pub seed: u64,
    /// What was to be sent.
    pub scenario: Arc<Scenario>,
    /// What was sent.
    pub traffic: Traffic,
    /// What the server made of it.
    pub report: Report,
    /// What the partner saw; `None` without a partner of ours.
    pub arrived: Option<Arrived>,
}

impl Summary {
    /// Fails when something that has to be right is not.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let (failed, wrong) = (self.traffic.failures.len(), self.report.disagreements.len());
        if failed + wrong > 0 || !self.report.is_balanced() {
            let ledger = if self.report.is_balanced() { "balances" } else { "does not balance" };
            bail!(
                "{failed} requests failed, {wrong} results disagree with the ground truth, the ledger {ledger}"
            );
        }
        Ok(())
    }

    /// Prints it.
    pub fn print(&self) {
        self.print_sent();
        self.print_matches();
        self.print_postbacks();
        self.print_ledger();
        self.print_example();
        self.print_trouble();
    }

    fn print_sent(&self) {
        let (traffic, people) = (&self.traffic, self.scenario.people.len());
        let seconds = traffic.took.as_secs_f64();
        println!(
            "Sent: {} requests of {people} people in {seconds:.1} s (seed {})",
            grouped(traffic.sent.len()),
            self.seed
        );
        for (kind, name) in [
            ("click", "clicks"),
            ("impression", "impressions"),
            ("install", "installs"),
            ("event", "events"),
            ("identity_link", "identity links"),
            ("update", "updates"),
        ] {
            let all: Vec<_> = traffic.sent.iter().filter(|sent| sent.kind == kind).collect();
            let p = |part| time(percentile(all.iter().map(|sent| sent.took).collect(), part));
            row(name, &grouped(all.len()), &format!("answered in p50 {}, p99 {}", p(0.5), p(0.99)));
        }
        let retried: u32 = traffic.sent.iter().map(|sent| sent.attempts - 1).sum();
        if retried > 0 {
            println!("  {retried} of them were sent again after a 429, a 503 or a broken connection");
        }
        println!();
    }

    fn print_matches(&self) {
        let report = &self.report;
        let installs: usize = report.by_class.values().sum();
        println!("Installs: {} devices, each compared with what really happened", grouped(installs));
        for (class, name) in [
            ("device_id", "device identifier"),
            ("referrer", "install referrer"),
            ("ko_click_id", "landing page"),
            ("asa", "Apple Search Ads"),
            ("modeled", "modeled"),
            ("organic", "organic"),
        ] {
            let Some(found) = report.by_class.get(class) else { continue };
            let right = report.right_by_class.get(class).copied().unwrap_or_default();
            let note = match class {
                "modeled" => format!(
                    "{right} to the right ad; {} ambiguous; of {} people who could only be guessed {} were missed",
                    report.guesses.ambiguous,
                    report.guesses.expected,
                    report.guesses.expected - report.guesses.right
                ),
                "organic" => format!("{right} rightly so"),
                _ => format!("{right} to the right ad"),
            };
            row(name, &grouped(*found), &note);
        }
        println!(
            "  strangers behind the address of a click: {} of {} not credited",
            report.strangers.right, report.strangers.expected
        );
        println!();
        println!("Joined to their install");
        joined("events", report.events);
        joined("links, updates", report.links);
        println!(
            "  retries with the same Idempotency-Key: {} of {} answered as the first time",
            grouped(report.retries.right),
            grouped(report.retries.expected)
        );
        println!();
    }

    fn print_postbacks(&self) {
        let postbacks = &self.report.ledger["postbacks"];
        if number(&postbacks["due"]) == 0 {
            return;
        }
        println!("Postbacks");
        for state in ["delivered", "pending", "dead"] {
            row(state, &grouped(number(&postbacks[state])), "");
        }
        let reasons = postbacks["suppressed"].as_object().into_iter().flatten();
        let reasons: Vec<(String, usize)> = reasons.map(|(reason, n)| (reason.clone(), number(n))).collect();
        let texts: Vec<String> = reasons.iter().map(|(reason, n)| format!("{reason} {n}")).collect();
        row("suppressed", &grouped(reasons.iter().map(|(_, n)| n).sum()), &texts.join(", "));
        self.print_arrived();
        println!();
    }

    fn print_arrived(&self) {
        let Some(arrived) = &self.arrived else { return };
        row(
            "at the partner",
            &grouped(arrived.distinct),
            &format!("in {} requests", grouped(arrived.received)),
        );
        for (name, times) in [("click", &arrived.clicks), ("install", &arrived.installs)] {
            let p = |part| time(percentile(times.clone(), part));
            println!(
                "  {name}-to-postback   p50 {}, p99 {} (from sending the request, over {})",
                p(0.5),
                p(0.99),
                grouped(times.len())
            );
        }
    }

    fn print_ledger(&self) {
        let (report, inputs) = (&self.report, &self.report.ledger["inputs"]);
        let verdict = if report.is_balanced() { "balances" } else { "DOES NOT BALANCE" };
        println!("Ledger: it {verdict}");
        println!(
            "  inputs: {} received = {} accepted + {} refused + {} quarantined",
            grouped(number(&inputs["received"])),
            grouped(number(&inputs["accepted"])),
            grouped(number(&inputs["refused"])),
            grouped(number(&inputs["quarantined"])),
        );
        let Tally { expected, right } = report.inputs;
        println!(
            "  of the {} input ids that the senders hold, {} are on record",
            grouped(expected),
            grouped(right)
        );
        println!();
    }

    fn print_example(&self) {
        let Some(example) = &self.report.example else { return };
        println!("One decision in plain words: the install of {}", example.device);
        for sentence in example.answer["decision"]["explanation"].as_array().into_iter().flatten() {
            print_wrapped(sentence.as_str().unwrap_or_default());
        }
        println!();
    }

    fn print_trouble(&self) {
        let failures = self.traffic.failures.iter().map(|failure| failure.what.clone());
        let wrong = self.report.disagreements.iter();
        let wrong =
            wrong.map(|one| format!("{}: expected {}, found {}", one.device, one.expected, one.found));
        for (title, lines) in [
            ("Requests that failed", failures.collect::<Vec<_>>()),
            ("Disagreements with the ground truth", wrong.collect()),
        ] {
            if lines.is_empty() {
                continue;
            }
            println!("{title}: {}", lines.len());
            lines.iter().take(SHOWN_MAX).for_each(|line| println!("  {line}"));
            println!();
        }
    }

    /// Prints where to look further.
    pub fn print_places(&self, target: &Target, key: &str) {
        let mut paths = Vec::new();
        if let Some(example) = &self.report.example {
            paths.push(format!("/v1/apps/{}/attribution/{}", example.app, example.device));
        }
        let input =
            self.traffic.sent.iter().find(|sent| sent.kind == "event").and_then(|sent| sent.inputs.first());
        paths.extend(input.map(|input| format!("/api/inputs/{input}")));
        paths.extend(
            [
                "/api/ledger",
                "/api/deliveries?limit=5",
                "/api/deliveries?state=suppressed&limit=5",
                "/apps",
                "/networks",
            ]
            .map(str::to_owned),
        );
        println!("Look around (the key is valid for this run of the demo):");
        for path in paths {
            println!("  curl -H 'Authentication-Key: {key}' '{}{path}'", target.url());
        }
        println!();
    }
}

fn row(name: &str, figure: &str, note: &str) {
    println!("{}", format!("  {name:<18} {figure:>8}   {note}").trim_end());
}

/// Prints a sentence in lines of at most [`WIDTH`] characters, the later ones moved in.
fn print_wrapped(sentence: &str) {
    let mut line = String::from(" ");
    for word in sentence.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            println!("{line}");
            line = String::from("   ");
        }
        line.push(' ');
        line.push_str(word);
    }
    println!("{line}");
}

fn joined(name: &str, tally: Tally) {
    row(name, &grouped(tally.right), &format!("of {}", grouped(tally.expected)));
}

fn number(value: &Value) -> usize {
    value.as_u64().and_then(|number| usize::try_from(number).ok()).unwrap_or_default()
}

/// A number with a comma before every group of three digits.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time(took: Option<Duration>) -> String {
    took.map_or_else(|| "-".to_owned(), |took| format!("{:.1} ms", took.as_secs_f64() * 1_000.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use simulate::{check::Disagreement, generate, run::Failure};

    use super::*;

    /// A summary in which nothing is wrong.
    fn right() -> Summary {
        let plan = generate::Plan { seed: 1, people: 1, until: 1_790_000_000 };
        let report = Report { ledger: json!({ "balanced": true }), ..Report::default() };
        let scenario = Arc::new(generate::scenario(&plan));
        Summary { seed: 1, scenario, traffic: Traffic::default(), report, arrived: None }
    }

    /// What fails here ends the program with 1, as every error of a command does (`crates/server/tests/demo.rs`).
    #[test]
    fn the_verdict_fails_when_anything_that_has_to_be_right_is_not() {
        right().verdict().unwrap();
        let check = |change: fn(&mut Summary), word: &str| {
            let mut summary = right();
            change(&mut summary);
            let complaint = summary.verdict().unwrap_err().to_string();
            assert!(complaint.contains(word), "{complaint}");
        };
        let (device, expected, found) = ("d".to_owned(), "a".to_owned(), "b".to_owned());
        let disagreement = Disagreement { device, expected, found };
        let mut wrong = right();
        wrong.report.disagreements.push(disagreement);
        assert!(wrong.verdict().unwrap_err().to_string().contains("1 results disagree"));
        let failure = |summary: &mut Summary| {
            summary.traffic.failures.push(Failure { person: 0, step: 0, what: "x".to_owned() });
        };
        check(failure, "1 requests failed");
        check(|summary| summary.report.ledger = json!({ "balanced": false }), "does not balance");
        check(|summary| summary.report.ledger = Value::Null, "does not balance");
    }

    #[test]
    fn numbers_are_grouped() {
        let check = |number, text: &str| assert_eq!(grouped(number), text);
        check(0, "0");
        check(999, "999");
        check(1_000, "1,000");
        check(1_234_567, "1,234,567");
    }
}
