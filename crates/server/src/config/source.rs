//! Where settings come from, and which one wins. The only place that knows figment.

use std::path::PathBuf;

use figment::{
    Figment, Metadata, Profile, Provider, Source,
    providers::{Format as _, Toml},
    value::{Dict, Map, Value},
};

use super::{Config, ConfigError, DEFAULTS};

/// Environment names that are not settings but options of commands, or act once.
pub(super) const OTHER_NAMES: [&str; 2] = ["SEXTANT_CONFIG", "SEXTANT_BOOTSTRAP_KEY"];
/// Shorter environment names of the settings that have an option on the command line. Where both are set,
/// the short one wins.
pub(super) const SHORT_NAMES: [(&str, &str); 5] = [
    ("SEXTANT_LISTEN", "server.listen"),
    ("SEXTANT_ADMIN_LISTEN", "server.admin_listen"),
    ("SEXTANT_DATA_DIR", "server.data_dir"),
    ("SEXTANT_TLS_CERT", "server.tls_cert"),
    ("SEXTANT_TLS_KEY", "server.tls_key"),
];
/// What the sources of settings are called inside.
const ENVIRONMENT: &str = "environment";
const SHORT: &str = "short environment names";
const COMMAND_LINE: &str = "command line";
/// Environment names that begin so belong to commands other than `serve`.
const OTHER_PREFIXES: [&str; 4] =
    ["SEXTANT_DEMO_", "SEXTANT_SIMULATE_", "SEXTANT_EVALUATE_", "SEXTANT_WHAT_IF_"];

/// What the command line says: the configuration file, and settings by their dotted names.
#[derive(Clone, Debug, Default)]
pub struct Cli {
    /// The file named by `--config`.
    pub file: Option<PathBuf>,
    /// Settings by name, as text.
    pub settings: Vec<(&'static str, String)>,
}

/// One setting as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// Its dotted name.
    pub name: String,
    /// Its value as TOML writes it; secrets are masked.
    pub value: String,
    /// Where it came from: `default`, a file, an environment variable, the command line.
    pub source: String,
}

/// Puts the settings together. `environment` is every variable of the process.
pub fn load(
    cli: &Cli,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(Config, Vec<Effective>), ConfigError> {
    let defaults = Figment::from(Toml::string(DEFAULTS));
    let known = names(&defaults)?;
    let mut figment = defaults;
    if let Some(path) = &cli.file {
        if !path.is_file() {
            return Err(ConfigError::Setting(format!("{}: there is no such file", path.display())));
        }
        figment = figment.merge(Toml::file_exact(path));
    }
    let (long, short) = Texts::environment(&known, environment)?;
    figment = figment.merge(long).merge(short);
    figment = figment.merge(Texts::command_line(&known, cli));
    let config: Config = figment.extract().map_err(|error| ConfigError::Setting(describe(&error)))?;
    config.check()?;
    let effective = known.iter().map(|(name, _)| effective(&figment, name)).collect();
    Ok((config, effective))
}

/// The environment name of a setting.
pub(super) fn environment_name(setting: &str) -> String {
    format!("SEXTANT_{}", setting.replace('.', "_").to_uppercase())
}

/// The short environment name of a setting that has one.
fn short_name(setting: &str) -> String {
    let short = SHORT_NAMES.iter().find(|(_, name)| *name == setting);
    short.map_or_else(|| environment_name(setting), |(short, _)| (*short).to_owned())
}

/// Every setting with its default, in order of names.
pub(super) fn names(defaults: &Figment) -> Result<Vec<(String, Value)>, ConfigError> {
    let sections: Dict = defaults.extract().map_err(|error| ConfigError::Setting(describe(&error)))?;
    let mut names = Vec::new();
    add_names("", sections, &mut names);
    Ok(names)
}

fn add_names(prefix: &str, section: Dict, names: &mut Vec<(String, Value)>) {
    for (name, value) in section {
        match value {
            Value::Dict(_, section) => add_names(&format!("{prefix}{name}."), section, names),
            value => names.push((format!("{prefix}{name}"), value)),
        }
    }
}

/// Settings given as texts: read by the type of their default.
struct Texts {
    name: &'static str,
    values: Dict,
}

impl Texts {
    fn environment(
        known: &[(String, Value)],
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(Self, Self), ConfigError> {
        let (mut values, mut short) = (Dict::new(), Dict::new());
        for (variable, text) in environment {
            if !variable.starts_with("SEXTANT_") || OTHER_NAMES.contains(&variable.as_str()) {
                continue;
            }
            if let Some((_, name)) = SHORT_NAMES.iter().find(|(short, _)| *short == variable) {
                if let Some((_, default)) = known.iter().find(|(known, _)| known == name) {
                    insert(&mut short, name, read(default, &text));
                }
                continue;
            }
            match known.iter().find(|(name, _)| environment_name(name) == variable) {
                Some((name, default)) => insert(&mut values, name, read(default, &text)),
                None if OTHER_PREFIXES.iter().any(|prefix| variable.starts_with(prefix)) => {}
                None if is_of_kubernetes(&variable, &text) => {}
                None => {
                    let text = format!(
                        "{variable}: there is no such setting; `sextant config` lists the names of all"
                    );
                    return Err(ConfigError::Setting(text));
                }
            }
        }
        Ok((Self { name: ENVIRONMENT, values }, Self { name: SHORT, values: short }))
    }

    fn command_line(known: &[(String, Value)], cli: &Cli) -> Self {
        let mut values = Dict::new();
        for (name, text) in &cli.settings {
            if let Some((_, default)) = known.iter().find(|(known, _)| known == name) {
                insert(&mut values, name, read(default, text));
            }
        }
        Self { name: COMMAND_LINE, values }
    }
}

impl Provider for Texts {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// Whether Kubernetes puts the variable into every container beside a Service named `sextant`, or
/// `sextant-` and more: host and ports of that Service, the latter as `tcp://10.0.0.1:80` under `…_PORT`.
fn is_of_kubernetes(variable: &str, text: &str) -> bool {
    let is_number = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    variable.ends_with("_SERVICE_HOST")
        || variable.ends_with("_SERVICE_PORT")
        || variable.contains("_SERVICE_PORT_")
        || variable.ends_with("_PORT") && text.contains("://")
        || variable.split_once("_PORT_").is_some_and(|(_, rest)| is_number(rest))
}

/// A text as a value of the type that the default has; a wrong one stays a text and is refused later.
fn read(default: &Value, text: &str) -> Value {
    let text = text.trim();
    match default {
        Value::Array(..) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::from(items.map(Value::from).collect::<Vec<_>>())
        }
        Value::Num(..) => text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from),
        Value::Bool(..) => match text {
            "true" | "1" => Value::from(true),
            "false" | "0" => Value::from(false),
            _ => Value::from(text),
        },
        _ => Value::from(text),
    }
}

/// Puts a value under a dotted name.
fn insert(values: &mut Dict, name: &str, value: Value) {
    let Some((section, rest)) = name.split_once('.') else {
        values.insert(name.to_owned(), value);
        return;
    };
    let settings = values.entry(section.to_owned()).or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, settings) = settings {
        insert(settings, rest, value);
    }
}

fn effective(figment: &Figment, name: &str) -> Effective {
    let value = figment.find_value(name).map_or_else(
        |_| String::new(),
        |value| match value {
            Value::String(..) if is_secret(name) => "\"(hidden)\"".to_owned(),
            value => written(&value),
        },
    );
    let source = figment.find_metadata(name).map_or_else(
        || "default".to_owned(),
        |metadata| match (&metadata.source, metadata.name.as_ref()) {
            (Some(Source::File(path)), _) => path.display().to_string(),
            (_, ENVIRONMENT) => environment_name(name),
            (_, SHORT) => short_name(name),
            (_, COMMAND_LINE) => COMMAND_LINE.to_owned(),
            _ => "default".to_owned(),
        },
    );
    Effective { name: name.to_owned(), value, source }
}

/// Whether a setting that is a text holds a secret. None does today: TLS keys are named by their files.
fn is_secret(name: &str) -> bool {
    ["secret", "password", "token"].iter().any(|word| name.ends_with(word))
}

fn written(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Bool(_, flag) => flag.to_string(),
        Value::Num(_, number) => number
            .to_i128()
            .map(|number| number.to_string())
            .or_else(|| number.to_u128().map(|number| number.to_string()))
            .unwrap_or_default(),
        Value::Array(_, items) => {
            format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", "))
        }
        _ => String::new(),
    }
}

/// What is wrong, with the name of the setting and its source in front.
fn describe(error: &figment::Error) -> String {
    // The place in a list is no part of its name.
    let parts: Vec<&str> = error.path.iter().map(String::as_str).collect();
    let is_place = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let name = match parts.split_last() {
        Some((last, list)) if is_place(last) => list.join("."),
        _ => parts.join("."),
    };
    let source = error.metadata.as_ref().map_or(String::new(), |metadata| {
        match (&metadata.source, metadata.name.as_ref()) {
            (Some(Source::File(path)), _) => format!(" (in {})", path.display()),
            (_, ENVIRONMENT) => format!(" (in {})", environment_name(&name)),
            (_, SHORT) => format!(" (in {})", short_name(&name)),
            (_, COMMAND_LINE) => " (on the command line)".to_owned(),
            _ => String::new(),
        }
    });
    let name = if name.is_empty() { "configuration".to_owned() } else { name };
    format!("{name}: {}{source}", error.kind)
}
