//! Triggers: what is configured (postbacks.md sections 3 to 5).

use serde::{Deserialize, Serialize};

use super::settings::Settings;
use crate::{AppId, TemplateId, Timestamp, TriggerId, catalogue::Sealed, event::Value};

/// The custom template: any URL the customer names (postbacks.md section 2).
pub const CUSTOM_TEMPLATE: TemplateId = TemplateId(3373);

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
        let of_network = self.context.iter().filter(|(key, _)| {
            key.strip_prefix("cpi_").and_then(|key| key.strip_suffix("_mostback_url")).is_some()
        });
        plain
            .chain(of_network)
            .map(|(key, value)| (key.as_str(), value.text().trim()))
            .find(|(_, url)| !url.is_empty())
    }
}

/// Checks a trigger that is about to be saved: the answer lists what is odd but allowed.
///
/// The settings that the context may hold (postbacks.md sections 4 to 7; keys of our own begin with `sx_`):
///
/// | key | meaning |
/// | --- | --- |
/// | `cpi_mostback_url`, `cpi_<network>_mostback_url` | the URL, with macros anywhere but in the host; required |
/// | `deferred_for` | delay after the decision, 0 to 600000 ms; 0 |
/// | `max_delivery_attempts` | redeliveries after a failure, 0 to 10; 3 |
/// | `sx_network_id` | the network it belongs to |
/// | `sx_delivery` | `all`, `network`, `network_agency`; `network` when one is named or the template is not the custom one |
/// | `sx_countries` | `US,DE` allows only these, `!CN,!RU` allows all but these; an unknown country is on no list |
/// | `sx_duplicates` | `true`: duplicate clicks are told as well |
/// | `sx_corrections` | `true`: with `all`, a changed decision is told again |
/// | `sx_default`, `sx_default.<macro>` | what a macro without a value renders as; nothing |
/// | `sx_required` | macros that must have a value of their own, separated by commas |
/// | `sx_method` | `GET` or `POST`; `GET`, or `POST` when there is a body |
/// | `sx_body` | `url`: no body; `form`: the query of the URL is sent as a form instead; or a JSON text with macros, in which a macro inside a string is escaped and one outside stays a number, or is `null` when missing |
/// | `sx_success_match` | a text the answer must contain besides a 2xx status |
///
/// # Errors
///
/// The field that is missing or wrong, and what it must be.
pub fn validate(trigger: &Trigger) -> Result<Vec<String>, String> {
    Settings::of(trigger).map(|settings| settings.warnings())
}
