//! `sextant what-if`: asks a running server, or a data directory that no server uses.

use std::{
    io::{IsTerminal as _, Read as _, Write as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use engine::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use measure::{AppId, catalogue::Catalogue};
use reqwest::{Client, Method};
use serde_json::{Map, Value, json};
use store::{Fjall, Store};

use super::{readers, refusal};
use crate::{
    auth,
    http::what_if::{alteration, report},
    vault::Vault,
};

/// How often a running server is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Changed installs printed.
const ROWS: usize = 20;

/// Options of `sextant what-if`.
#[derive(Debug, Args)]
pub struct WhatIfOptions {
    /// The number of the app
    #[arg(long, value_name = "ID", env = "SEXTANT_WHAT_IF_APP")]
    app: u64,
    /// A setting of the app that is to be otherwise, such as attribution.windows.click_modeled=3d; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", env = "SEXTANT_WHAT_IF_SET", value_parser = setting)]
    settings: Vec<(String, Value)>,
    /// A file with everything that is to be otherwise, as the body of POST /api/apps/{id}/what-if; - is standard input
    #[arg(long, value_name = "FILE", env = "SEXTANT_WHAT_IF_BODY")]
    body: Option<PathBuf>,
    /// Installs received from this time on, such as 2026-01-31T00:00:00Z
    #[arg(long, value_name = "TIME", env = "SEXTANT_WHAT_IF_FROM")]
    from: Option<String>,
    /// Installs received before this time
    #[arg(long, value_name = "TIME", env = "SEXTANT_WHAT_IF_TO")]
    to: Option<String>,
    /// The running server to ask
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        env = "SEXTANT_WHAT_IF_URL",
        conflicts_with = "data_dir"
    )]
    url: String,
    /// A management key of it that reaches the app
    #[arg(long, value_name = "KEY", env = "SEXTANT_WHAT_IF_KEY", hide_env_values = true)]
    key: Option<String>,
    /// A data directory to read instead, of a server that does not run
    #[arg(long, value_name = "DIR", env = "SEXTANT_WHAT_IF_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long, env = "SEXTANT_WHAT_IF_JSON", value_parser = clap::builder::FalseyValueParser::new())]
    json: bool,
}

/// `NAME=VALUE`; a value that is no JSON is a text.
fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.trim().to_owned(), value))
}

/// `sextant what-if`.
pub async fn what_if(options: WhatIfOptions) -> anyhow::Result<()> {
    let body = body(&options)?;
    let bar = bar();
    let answer = match &options.data_dir {
        Some(directory) => {
            let directory = directory.clone();
            let (app, bar) = (AppId(options.app), bar.clone());
            tokio::task::spawn_blocking(move || of_directory(&directory, app, body, &bar)).await??
        }
        None => of_server(&options, &body, &bar).await?,
    };
    bar.finish_and_clear();
    let mut out = std::io::stdout();
    // Whoever reads only the first lines has what they wanted.
    let _enough = if options.json { writeln!(out, "{answer:#}") } else { write!(out, "{}", text(&answer)) };
    Ok(())
}

fn body(options: &WhatIfOptions) -> anyhow::Result<Map<String, Value>> {
    let mut body = match &options.body {
        None => Map::new(),
        Some(path) => {
            let text = if path.as_os_str() == "-" {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
                text
            } else {
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
            };
            serde_json::from_str(&text).with_context(|| format!("{} is no JSON object", path.display()))?
        }
    };
    if !options.settings.is_empty() {
        let settings = body.entry("settings").or_insert_with(|| json!({}));
        let settings = settings.as_object_mut().context("settings: must be an object")?;
        settings.extend(options.settings.iter().cloned());
    }
    for (key, value) in [("from", &options.from), ("to", &options.to)] {
        body.extend(value.as_ref().map(|value| (key.to_owned(), json!(value))));
    }
    Ok(body)
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = "{bar:40} {percent:>3} % of {human_len} facts, {elapsed} {msg}";
    let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.of);
    bar.set_position(progress.done);
    bar.set_message(format!("{} installs", progress.installs));
}

async fn of_server(
    options: &WhatIfOptions,
    body: &Map<String, Value>,
    bar: &ProgressBar,
) -> anyhow::Result<Value> {
    let key = options.key.as_deref().context("give a management key with --key or SEXTANT_WHAT_IF_KEY")?;
    let client = Client::builder().build()?;
    let base = options.url.trim_end_matches('/');
    let ask =
        async |method: Method, path: &str, body: Option<&Map<String, Value>>| -> anyhow::Result<Value> {
            let mut request = client.request(method, format!("{base}{path}")).header(auth::HEADER, key);
            if let Some(body) = body {
                request = request.body(serde_json::to_vec(body)?);
            }
            let response = request.send().await.with_context(|| format!("cannot reach {base}"))?;
            let status = response.status();
            let answer: Value = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
            if !status.is_success() {
                bail!("{}", answer["errors"][0].as_str().unwrap_or(status.as_str()));
            }
            Ok(answer)
        };
    let mut answer = ask(Method::POST, &format!("/api/apps/{}/what-if", options.app), Some(body)).await?;
    while answer["state"] == "running" {
        let number = |name: &str| answer["progress"][name].as_u64().unwrap_or_default();
        show(bar, Progress { done: number("facts_read"), of: number("facts"), installs: number("installs") });
        tokio::time::sleep(ASK_EVERY).await;
        let path = answer["href"].as_str().context("the server does not say where to ask")?.to_owned();
        answer = ask(Method::GET, &path, None).await?;
    }
    match answer["state"].as_str() {
        Some("done") => Ok(answer),
        Some("stopped") => bail!("somebody stopped it"),
        _ => bail!("it failed: {}", answer["error"].as_str().unwrap_or("the log of the server says why")),
    }
}

fn of_directory(
    directory: &std::path::Path,
    app: AppId,
    body: Map<String, Value>,
    bar: &ProgressBar,
) -> anyhow::Result<Value> {
    let vault = Arc::new(Vault::load(directory)?);
    let store: Arc<dyn Store> = Arc::new(Fjall::open(directory.join("store"), store::Options::default())?);
    let mut catalogue = Catalogue::default();
    store.changes()?.into_iter().for_each(|change| catalogue.apply(change));
    if catalogue.app(app).is_none() {
        bail!("there is no app {app} in {}", directory.display());
    }
    let fields = crate::http::what_if::fields(body);
    let plan = alteration::plan(&catalogue, app, fields, &vault, readers())
        .map_err(|error| anyhow::anyhow!("{}", error.message()))?;
    let watch = |progress| {
        show(bar, progress);
        true
    };
    let found = engine::what_if(&store, &plan, &watch).map_err(|error| match refusal(&error) {
        Some(refused) => anyhow::anyhow!("{}", refused.message()),
        None => error.into(),
    })?;
    let rows = found.changes.iter().take(ROWS).map(|row| report::change(&catalogue, row, None));
    let rows: Vec<Value> = rows.collect();
    Ok(json!({
        "state": "done", "app_id": app, "report": report::summary(&catalogue, &found),
        "changes": { "total": found.altered, "listed": found.changes.len(), "data": rows },
    }))
}

/// The answer for people.
fn text(answer: &Value) -> String {
    let report = &answer["report"];
    let word = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut text = format!(
        "{} installs from {} to {}, {} of them credited otherwise\n",
        word(&report["installs"]),
        word(&report["from"]),
        word(&report["to"]),
        word(&report["changed"])
    );
    for (title, rows, name) in [
        ("network", "networks", "network"),
        ("campaign", "campaigns", "campaign"),
        ("class", "classes", "class"),
    ] {
        text += &format!("\n{title:<32} {:>12} {:>12} {:>12}\n", "before", "after", "difference");
        for row in report[rows].as_array().into_iter().flatten() {
            let name = if row[name].is_null() { "(none)".to_owned() } else { word(&row[name]) };
            let difference = row["difference"].as_i64().unwrap_or_default();
            text += &format!(
                "{name:<32} {:>12} {:>12} {difference:>+12}\n",
                word(&row["before"]),
                word(&row["after"])
            );
        }
    }
    text += &format!("\n{:<32} {:>12} {:>12}\n", "how sure", "before", "after");
    for (key, name) in [
        ("certain", "certain matches"),
        ("likely", "likely matches"),
        ("ambiguous", "of these ambiguous ties"),
        ("shared_click", "of these on a shared click"),
        ("organic", "organic"),
    ] {
        let [before, after] = ["before", "after"].map(|side| word(&report["how_sure"][side][key]));
        text += &format!("{name:<32} {before:>12} {after:>12}\n");
    }
    let changes = answer["changes"]["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !changes.is_empty() {
        let shown = changes.len().min(ROWS);
        text += &format!("\nThe first {shown} of {} changed installs:\n", word(&answer["changes"]["total"]));
        for row in changes.iter().take(ROWS) {
            text += &format!("{}  {}\n", word(&row["install_id"]), word(&row["why"]));
        }
    }
    text
}
