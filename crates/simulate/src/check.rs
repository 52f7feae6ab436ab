//! Compares what the server made of the traffic with what really happened. It asks the documented
//! interface only (DECISIONS 9, 28, 29, 30).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    account::Account,
    run::Traffic,
    scenario::{Action, Expected, Person, Scenario, Truth},
    target::{Error, Target},
};

/// How often the ledger is asked while postbacks are under way.
const POLL: Duration = Duration::from_millis(100);
/// Rows of a page of deliveries.
const PAGE: usize = 100;

/// How many there should be and how many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// By the ground truth.
    pub expected: usize,
    /// Of these, found right.
    pub right: usize,
}

impl Tally {
    fn count(&mut self, right: bool) {
        self.expected += 1;
        self.right += usize::from(right);
    }
}

/// How well the guesses are: nothing here is an error of the server, only of what can be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guesses {
    /// Installs credited by a modeled match.
    pub credited: usize,
    /// Of these, to the network whose ad it was.
    pub right: usize,
    /// Installs of people who clicked without identifier, and so could only be guessed.
    pub expected: usize,
    /// Of the credited, those with an equally good claim of another network.
    pub ambiguous: usize,
}

/// Something that a server has to get right and did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// Who: a `kochava_device_id`.
    pub device: String,
    /// What the ground truth says.
    pub expected: String,
    /// What the server says.
    pub found: String,
}

/// A decision to show to people.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The `kochava_device_id`.
    pub device: String,
    /// The app, as senders call it.
    pub app: String,
    /// The whole answer of `/v1/apps/{guid}/attribution/{kochava_device_id}`.
    pub answer: Value,
}

/// The outcome of the comparison.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Installs by the class that the server decided.
    pub by_class: BTreeMap<String, usize>,
    /// Of these, by class, those that are the truth: the very ad, or none.
    pub right_by_class: BTreeMap<String, usize>,
    /// Installs that have to be attributed to their very ad.
    pub deterministic: Tally,
    /// Installs without an ad, found organic.
    pub organic: Tally,
    /// Of these, strangers behind the address of a click.
    pub strangers: Tally,
    /// Modeled matches.
    pub guesses: Guesses,
    /// Events, linked to their install.
    pub events: Tally,
    /// Identity links and updates, applied to their device.
    pub links: Tally,
    /// Retries with an `Idempotency-Key`, answered as the first time.
    pub retries: Tally,
    /// Inputs that were answered with success, found on record.
    pub inputs: Tally,
    /// Installs, told to the partner by a delivered postback; nothing without a sink.
    pub told: Tally,
    /// What has to be right and is not.
    pub disagreements: Vec<Disagreement>,
    /// The whole answer of `/api/ledger`.
    pub ledger: Value,
    /// An install that is worth showing: its `kochava_device_id`, app and answer. One that had to be chosen
    /// among several candidates.
    pub example: Option<Example>,
}

impl Report {
    /// Whether the ledger balances.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.ledger["balanced"] == true
    }

    /// Whether everything that has to be right is.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.is_balanced() && self.disagreements.is_empty()
    }

    fn disagree(&mut self, device: &str, expected: impl Into<String>, found: impl Into<String>) {
        let (expected, found) = (expected.into(), found.into());
        self.disagreements.push(Disagreement { device: device.to_owned(), expected, found });
    }
}

/// Waits until no postback is pending any more, at most `patience`. Gives the last ledger.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn settled(target: &Target, patience: Duration) -> Result<Value, Error> {
    let begun = Instant::now();
    loop {
        let ledger = target.get("/api/ledger").await?;
        if ledger["postbacks"]["pending"] == 0 || begun.elapsed() >= patience {
            return Ok(ledger);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Asks the server about every install, event and link of the scenario and compares. People of whom a
/// request failed are left out: what is true of them was not told.
///
/// # Errors
/// When the server cannot be asked, or does not answer as documented.
pub async fn check(
    target: &Target,
    account: &Account,
    scenario: &Scenario,
    traffic: &Traffic,
) -> Result<Report, Error> {
    let mut report = Report::default();
    let failed: BTreeSet<usize> = traffic.failures.iter().map(|failure| failure.person).collect();
    let begun: BTreeSet<usize> = traffic.sent.iter().map(|sent| sent.person).collect();
    let told: Vec<usize> = begun.difference(&failed).copied().collect();
    let installs = installs(&mut report, target, account, scenario, &told).await?;
    inputs(&mut report, target, scenario, traffic, &failed).await?;
    if !account.triggers.is_empty() {
        postbacks(&mut report, target, account, &installs).await?;
    }
    report.ledger = target.get("/api/ledger").await?;
    Ok(report)
}

/// Compares every decision; gives the install ids.
async fn installs(
    report: &mut Report,
    target: &Target,
    account: &Account,
    scenario: &Scenario,
    told: &[usize],
) -> Result<BTreeSet<String>, Error> {
    let people: Vec<&Person> = told
        .iter()
        .filter_map(|index| scenario.people.get(*index))
        .filter(|person| person.truth != Truth::NoInstall)
        .collect();
    let paths = people.iter().map(|person| {
        let guid = &account.app(person.device.platform).guid;
        format!("/v1/apps/{guid}/attribution/{}", person.device.kochava_device_id)
    });
    let answers = target.ask_all(paths.collect()).await?;
    let mut ids = BTreeSet::new();
    for (person, answer) in people.into_iter().zip(answers) {
        let Some(answer) = answer else {
            report.disagree(&person.device.kochava_device_id, "an install", "none on record");
            continue;
        };
        ids.extend(answer["data"]["install_id"].as_str().map(str::to_owned));
        compare(report, account, person, &answer);
        if shows(&answer) > report.example.as_ref().map_or(0, |example| shows(&example.answer)) {
            let app = account.app(person.device.platform).guid.clone();
            report.example = Some(Example { device: person.device.kochava_device_id.clone(), app, answer });
        }
    }
    Ok(ids)
}

/// How much an answer shows: a few candidates, of several networks. 0 when organic, or too long to read.
fn shows(answer: &Value) -> usize {
    const READABLE: usize = 3;
    let candidates = answer["decision"]["candidates"].as_array().map(Vec::as_slice).unwrap_or_default();
    if answer["decision"]["winner"].is_null() || candidates.len() > READABLE {
        return 0;
    }
    let networks: BTreeSet<String> = candidates.iter().map(|one| one["network_id"].to_string()).collect();
    candidates.len() + READABLE * networks.len()
}

/// Holds one decision against the truth.
fn compare(report: &mut Report, account: &Account, person: &Person, answer: &Value) {
    let class = answer["decision"]["class"].as_str().unwrap_or("unknown");
    *report.by_class.entry(class.to_owned()).or_default() += 1;
    let attribution = &answer["data"]["attribution"];
    let modeled = class == Expected::Modeled.name();
    let right = is_right(account, &person.truth, class, attribution);
    *report.right_by_class.entry(class.to_owned()).or_default() += usize::from(right);
    if modeled {
        report.guesses.credited += 1;
        report.guesses.right += usize::from(right);
        report.guesses.ambiguous += usize::from(answer["decision"]["ambiguous"] == true);
    }
    let stranger = matches!(person.truth, Truth::Organic { stranger: true });
    let excused = match person.truth.expected() {
        None => return,
        Some(Expected::Organic) => {
            report.organic.count(right);
            if stranger {
                report.strangers.count(right);
            }
            modeled && !stranger
        }
        Some(Expected::Modeled) => {
            report.guesses.expected += 1;
            modeled || class == Expected::Organic.name()
        }
        Some(Expected::DeviceId | Expected::Referrer | Expected::Asa) => {
            report.deterministic.count(right);
            false
        }
    };
    if !right && !excused {
        let network = attribution["network"].as_str().map(|name| format!(" to {name}")).unwrap_or_default();
        report.disagree(
            &person.device.kochava_device_id,
            describe(&person.truth),
            format!("{class}{network}"),
        );
    }
}

fn is_right(account: &Account, truth: &Truth, class: &str, attribution: &Value) -> bool {
    if truth.expected().map(Expected::name) != Some(class) {
        return false;
    }
    let Truth::Ad { network, click_id, .. } = truth else { return true };
    let id = account.networks.get(*network).map(|network| network.id.to_string());
    let request = attribution["click"]["meta"]["original_request"].as_str().unwrap_or_default();
    attribution["network_id"].as_str() == id.as_deref()
        // The very click, where the answer still has its query.
        && (request.is_empty() || request.split('&').any(|pair| pair == format!("click_id={click_id}")))
}

fn describe(truth: &Truth) -> String {
    match truth {
        Truth::NoInstall => "no install".to_owned(),
        Truth::Ad { expected, network, click_id } => {
            let name = crate::account::NETWORK_NAMES.get(*network).copied().unwrap_or_default();
            format!("{} to {name} ({click_id})", expected.name())
        }
        Truth::SearchAds => "asa".to_owned(),
        Truth::Organic { stranger: true } => "organic (a stranger behind the same address)".to_owned(),
        Truth::Organic { stranger: false } => "organic".to_owned(),
    }
}

/// Asks for every input id that the senders hold.
async fn inputs(
    report: &mut Report,
    target: &Target,
    scenario: &Scenario,
    traffic: &Traffic,
    failed: &BTreeSet<usize>,
) -> Result<(), Error> {
    let ids: BTreeSet<&String> = traffic.sent.iter().flat_map(|sent| &sent.inputs).collect();
    let ids: Vec<&String> = ids.into_iter().collect();
    let answers = target.ask_all(ids.iter().map(|id| format!("/api/inputs/{id}")).collect()).await?;
    let found: HashMap<&str, Option<Value>> = ids.iter().map(|id| id.as_str()).zip(answers).collect();
    let mut seen = BTreeSet::new();
    let mut keys: HashMap<&str, &[String]> = HashMap::new();
    for sent in &traffic.sent {
        let Some(person) = scenario.people.get(sent.person) else { continue };
        let Some(step) = person.steps.get(sent.step) else { continue };
        let device = &person.device.kochava_device_id;
        if sent.inputs.is_empty() {
            report.inputs.count(false);
            report.disagree(device, format!("an input id for the {}", sent.kind), "no Sextant-Input header");
        }
        if let Action::Event(event) = &step.action
            && let Some(key) = &event.key
            && let Some(first) = keys.insert(key, &sent.inputs)
        {
            report.retries.count(first == sent.inputs);
            if first != sent.inputs {
                report.disagree(
                    device,
                    "a retry that counts once",
                    format!("{first:?} and {:?}", sent.inputs),
                );
            }
        }
        for id in sent.inputs.iter().filter(|id| seen.insert((*id).clone())) {
            let became = found.get(id.as_str()).and_then(Option::as_ref);
            let kept = became.is_some_and(|answer| answer["became"] == "accepted");
            report.inputs.count(kept);
            if !kept {
                report.disagree(device, format!("the {} {id} on record", sent.kind), "lost, or quarantined");
            }
            let linked = became.is_some_and(is_linked);
            let tally = match step.action {
                _ if failed.contains(&sent.person) => continue,
                Action::Event(_) => &mut report.events,
                Action::Update | Action::Link { .. } => &mut report.links,
                Action::Click(_) | Action::Impression(_) | Action::Install(_) => continue,
            };
            tally.count(linked);
            if !linked {
                report.disagree(
                    device,
                    format!("the {} {id} joined to the install", sent.kind),
                    "not joined",
                );
            }
        }
    }
    Ok(())
}

/// Whether an event, link or update found its install, at once or after waiting for it. An event that was
/// decided again had found it before.
fn is_linked(answer: &Value) -> bool {
    let outcomes = answer["outcomes"].as_array().map(Vec::as_slice).unwrap_or_default();
    outcomes.iter().any(|outcome| outcome["outcome"] == "linked" || outcome["outcome"] == "redecided")
}

/// Compares the delivered install postbacks with the installs: each has to be told.
async fn postbacks(
    report: &mut Report,
    target: &Target,
    account: &Account,
    installs: &BTreeSet<String>,
) -> Result<(), Error> {
    let mut told = BTreeSet::new();
    for trigger in account.triggers.iter().filter(|trigger| trigger.kind == "install") {
        let mut token = String::new();
        loop {
            let page = target
                .get(&format!(
                    "/api/deliveries?app={}&trigger={}&state=delivered&limit={PAGE}&pageToken={token}",
                    account.app(trigger.platform).id,
                    trigger.id
                ))
                .await?;
            let rows = page["data"].as_array().cloned().unwrap_or_default();
            told.extend(rows.iter().filter_map(|row| row["install_id"].as_str()).map(str::to_owned));
            match page["nextToken"].as_str() {
                Some(next) if next != token => next.clone_into(&mut token),
                _ => break,
            }
        }
    }
    for install in installs {
        report.told.count(told.contains(install));
        if !told.contains(install) {
            report.disagree(install, "an install postback delivered", "none delivered");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
