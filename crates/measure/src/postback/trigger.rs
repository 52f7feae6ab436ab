//! Triggers: what is configured (postbacks.md sections 3 to 5).

use serde::{Deserialize, Serialize};

use crate::{AppId, TemplateId, Timestamp, TriggerId, event::Value};

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
}

impl Trigger {
    /// A context value as text; `None` when it is absent or empty.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&str> {
        let (_, value) = self.context.iter().find(|(known, _)| known == key)?;
        Some(value.text()).filter(|text| !text.is_empty())
    }
}
