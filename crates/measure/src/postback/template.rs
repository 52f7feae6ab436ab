//! Templates: what a partner is told and how, as one file of the catalogue of partners says it
//! (postbacks.md section 2, DECISIONS 8).

use serde::{Deserialize, Serialize};

use super::{Method, TriggerKind};
use crate::{NetworkId, TemplateId, event::Value};

/// The custom template: any URL the customer names (postbacks.md section 2).
pub const CUSTOM_TEMPLATE: TemplateId = TemplateId(3373);

/// A template. Triggers are made from it: it asks for inputs, and turns them and a conversion into a
/// request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Its number.
    pub id: TemplateId,
    /// The partner's name.
    pub name: String,
    /// The network that the partner is; `None` for templates that are none or leave it to the trigger.
    pub network: Option<NetworkId>,
    /// Whether its triggers tell one network of what it won, unless they say otherwise.
    pub to_network: bool,
    /// The platform it is for, as on the wire; empty is every platform.
    pub platform: String,
    /// What its triggers may be fired by.
    pub kinds: Vec<TriggerKind>,
    /// Whether the trigger says method, headers and body by `sx_…` keys: nothing is fixed but the URL.
    pub free: bool,
    /// What it asks for, in order.
    pub inputs: Vec<Input>,
    /// What is sent.
    pub request: RequestTemplate,
    /// Macros that must have a value of their own; alternatives are separated by `|`.
    pub required: Vec<String>,
    /// Context keys that stand as given here unless the trigger sets them.
    pub defaults: Vec<(String, Value)>,
    /// Whether it is no longer offered. Triggers that were made from it go on.
    pub retired: bool,
}

/// Something that a template asks for; a row of `context_meta` on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The context key.
    pub id: String,
    /// Its label.
    pub name: String,
    /// What it means.
    pub description: String,
    /// Whether it must be set, in the type it has on the wire: a boolean, the text `true`, or absent.
    pub required: Option<Value>,
    /// What stands for it when it is not set.
    pub default: Option<Value>,
    /// The values to choose from and their labels; none is a free text.
    pub options: Vec<(Value, String)>,
    /// Whether the value is hidden where requests are shown.
    pub secret: bool,
}

impl Input {
    /// Whether it must be set, whatever type that has on the wire.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.required.as_ref().is_some_and(|required| required.text() == "true")
    }

    /// Whether it is a URL to send to (postbacks.md section 4).
    #[must_use]
    pub fn is_destination(&self) -> bool {
        is_destination(&self.id)
    }
}

/// Whether a context key holds a URL to send to: `cpi_mostback_url`, `cpi_<network>_mostback_url`.
#[must_use]
pub fn is_destination(key: &str) -> bool {
    key == "cpi_mostback_url"
        || key.strip_prefix("cpi_").is_some_and(|key| key.strip_suffix("_mostback_url").is_some())
}

/// A request with macros in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestTemplate {
    /// The verb.
    pub method: Method,
    /// Where it goes when the context names no URL; empty when it has to.
    pub url: String,
    /// Parameters that are added to the URL: names, and values with macros.
    pub query: Vec<(String, String)>,
    /// Headers: names, and values with macros.
    pub headers: Vec<(String, String)>,
    /// User name and password of basic authentication, with macros.
    pub basic: Option<(String, String)>,
    /// The body.
    pub body: BodyTemplate,
    /// The content type, when it is not the usual one of the body.
    pub content_type: Option<String>,
    /// A text that the answer must contain besides a 2xx status.
    pub success_match: Option<String>,
    /// Whether parameters of the query and fields of the form that come out empty are left out.
    #[serde(default)]
    pub omit_empty: bool,
}

/// A body with macros in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BodyTemplate {
    /// None.
    #[default]
    None,
    /// A form.
    Form(Vec<Field>),
    /// A JSON text with macros.
    Json(String),
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value, with macros.
    pub value: String,
    /// Whether the value is a JSON text: macros are filled in as JSON, and the whole is then encoded.
    pub json: bool,
}

impl Template {
    /// The input with this context key.
    #[must_use]
    pub fn input(&self, id: &str) -> Option<&Input> {
        self.inputs.iter().find(|input| input.id == id)
    }

    /// What stands for a context key that the trigger does not set.
    #[must_use]
    pub fn default_of(&self, key: &str) -> Option<&Value> {
        let of_input = self.input(key).and_then(|input| input.default.as_ref());
        of_input
            .or_else(|| self.defaults.iter().find(|(known, _)| known == key).map(|(_, value)| value))
            .filter(|value| !value.text().is_empty())
    }

    /// Whether it is offered to apps of a platform: it is for all, or for this one.
    #[must_use]
    pub fn suits(&self, platform: &str) -> bool {
        self.platform.is_empty() || self.platform.eq_ignore_ascii_case(platform)
    }

    /// Whether somebody has to set something before it can send.
    #[must_use]
    pub fn asks(&self) -> bool {
        let has_url = !self.request.url.is_empty()
            || self.inputs.iter().any(|input| input.is_destination() && self.default_of(&input.id).is_some());
        let is_unset = |input: &Input| input.is_required() && self.default_of(&input.id).is_none();
        !has_url || self.inputs.iter().any(is_unset)
    }
}
