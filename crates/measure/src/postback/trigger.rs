//! Triggers: what is configured (postbacks.md sections 3 to 5).

use serde::{Deserialize, Serialize};

use super::{Template, settings::Settings, template::is_destination};
use crate::{AppId, TemplateId, Timestamp, TriggerId, catalogue::Sealed, event::Value};

/// What fires a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerKind {
    /// An install.
    Install,
    /// An event.
    Event,
    /// A click.
    Click,
}

impl TriggerKind {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Event => "event",
            Self::Click => "click",
        }
    }
}

/// A trigger (postbacks.md section 3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// Its number.
    pub id: TriggerId,
    /// Counts its changes; deliveries keep the version they were made with.
    pub version: u32,
    /// Its app.
    pub app: AppId,
    /// What fires it.
    pub kind: TriggerKind,
    /// Its title.
    pub title: String,
    /// Its template.
    pub template: TemplateId,
    /// The event name it is for, matched exactly; `None` is every event.
    pub filter: Option<String>,
    /// Whether it sends.
    pub active: bool,
    /// Its configuration as given, in order; unknown keys are kept. Every value keeps its JSON type.
    pub context: Vec<(String, Value)>,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it was deleted.
    pub deleted: bool,
    /// How its postbacks are sent.
    #[serde(default)]
    pub sending: Sending,
}

/// What holds for all postbacks of a trigger when they are sent, those planned before included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sending {
    /// Whether its postbacks are kept until it is resumed.
    pub paused: bool,
    /// The secrets that requests are signed with, each of them, oldest first.
    #[serde(default)]
    pub secrets: Vec<SigningSecret>,
}

/// A secret that requests are signed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningSecret {
    /// Its number within its trigger.
    pub id: u32,
    /// The secret, sealed.
    pub sealed: Sealed,
    /// When it was set.
    pub created: Timestamp,
}

impl Trigger {
    /// A context value as text; `None` when it is absent or empty.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&str> {
        let (_, value) = self.context.iter().find(|(known, _)| known == key)?;
        Some(value.text()).filter(|text| !text.is_empty())
    }

    /// The URL it sends to, as written, and the context key that holds it: `cpi_mostback_url`, else the first
    /// `cpi_<network>_mostback_url`. `None` when there is none (postbacks.md section 4).
    #[must_use]
    pub fn destination(&self) -> Option<(&str, &str)> {
        let plain = self.context.iter().filter(|(key, _)| key == "cpi_mostback_url");
        let of_network = self.context.iter().filter(|(key, _)| is_destination(key));
        plain
            .chain(of_network)
            .map(|(key, value)| (key.as_str(), value.text().trim()))
            .find(|(_, url)| !url.is_empty())
    }
}

/// Checks a trigger that is about to be saved against its template: the answer lists what is odd but
/// allowed. Without a template it counts as a custom one. The keys that the context may hold are listed in
/// `docs/postbacks.md` (postbacks.md sections 4 to 7).
///
/// # Errors
///
/// The field that is missing or wrong, and what it must be.
pub fn validate(trigger: &Trigger, template: Option<&Template>) -> Result<Vec<String>, String> {
    let settings = Settings::of(trigger, template)?;
    settings.check_headers()?;
    Ok(settings.warnings())
}

/// What must be set before a trigger can send: context keys, in the order of its template. A trigger whose
/// settings are wrong lacks what they should be (postbacks.md section 7: `incomplete`).
#[must_use]
pub fn missing(trigger: &Trigger, template: Option<&Template>) -> Vec<String> {
    match Settings::of(trigger, template) {
        Ok(settings) => settings.missing,
        Err(wrong) => vec![wrong],
    }
}

/// How many attempts a postback of a trigger may take; `None` when its settings are wrong.
#[must_use]
pub fn attempts_allowed(trigger: &Trigger, template: Option<&Template>) -> Option<u32> {
    Settings::of(trigger, template).ok().map(|settings| settings.attempts_allowed)
}
