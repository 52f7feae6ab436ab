//! What the context of a trigger asks for (postbacks.md sections 4 to 6), read in one place: saving a
//! trigger and planning with it can never disagree.

mod check;
mod conditions;
mod read;

use self::conditions::Condition;
use super::{
    Method, Template, Trigger, TriggerKind, destination,
    macros::Macro,
    plan::Conversion,
    text::{Filling, Token, is_json_number, no_tokens, tokens, wrong_header},
};
use crate::{NetworkId, event::Value};

pub use check::check_template;
pub use conditions::{Cap, Lookback, asks_for_first, cap};
use read::Context;
pub use read::{Body, Countries, Recipients, is_header};

/// The longest delay, milliseconds.
pub const DEFERRED_FOR_MAX_MS: i64 = 600_000;
/// The most redeliveries.
pub const REDELIVERIES_MAX: i64 = 10;
/// Redeliveries when nothing is said.
pub const REDELIVERIES: i64 = 3;
/// The event that begins a session (postbacks.md section 1).
pub const SESSION: &str = "_SessionBegin";

const DEFAULT: &str = "sx_default";
const DEFAULT_OF: &str = "sx_default.";
const URL_KEY: &str = "cpi_mostback_url";

/// Our own keys; others with our prefix are most likely misspelt.
const OWN: [&str; 21] = [
    DEFAULT,
    "sx_all_data",
    "sx_body",
    "sx_consent",
    "sx_corrections",
    "sx_countries",
    "sx_data_controlled",
    "sx_delivery",
    "sx_duplicates",
    "sx_event_name",
    "sx_event_names",
    "sx_filter",
    "sx_headers",
    "sx_method",
    "sx_network_data",
    "sx_network_id",
    "sx_rate_cap",
    "sx_required",
    "sx_session_cap",
    "sx_signing_secret",
    "sx_success_match",
];

/// The settings of a trigger.
#[derive(Clone, Debug)]
pub struct Settings<'t> {
    context: Context<'t>,
    /// What has to be set before anything can be sent.
    pub missing: Vec<String>,
    /// Empty while it is missing.
    pub destination: &'t str,
    pub delay_ms: i64,
    pub attempts_allowed: u32,
    pub network: Option<NetworkId>,
    pub recipients: Recipients,
    /// Whether the recipients are those that stand when nothing is said.
    usual: bool,
    pub countries: Option<Countries<'t>>,
    pub duplicates: bool,
    pub corrections: bool,
    pub all_data: bool,
    pub network_data: bool,
    pub data_controlled: bool,
    pub consent: bool,
    pub session_cap: bool,
    pub condition: Option<Condition>,
    pub lookback: Lookback,
    /// Alternatives, of which one must have a value of its own.
    pub required: Vec<Vec<Token<'t>>>,
    pub method: Method,
    pub query: &'t [(String, String)],
    pub omit_empty: bool,
    pub headers: Vec<(String, String)>,
    pub basic: Option<(&'t str, &'t str)>,
    pub body: Body<'t>,
    pub content_type: Option<&'t str>,
    pub success_match: Option<&'t str>,
    event_name: Option<&'t str>,
    event_names: Vec<(String, String)>,
}

impl<'t> Settings<'t> {
    /// The settings of `trigger`, which was made from `template`, or which field is wrong.
    pub fn of(trigger: &'t Trigger, template: Option<&'t Template>) -> Result<Self, String> {
        let context = Context { trigger, template };
        if let Some(template) = template
            && !template.kinds.contains(&trigger.kind)
        {
            let kinds: Vec<_> = template.kinds.iter().map(|kind| kind.name()).collect();
            return Err(format!("type: {} is told of {} only", template.name, kinds.join(", ")));
        }
        let mut missing = context.missing();
        let destination = match context.destination() {
            Some((key, destination)) => {
                destination::check(destination)
                    .map_err(|reason| format!("context.{key}: not a usable URL: {reason}"))?;
                destination
            }
            // A template that asks for the URL cannot do without; others get by until it is known.
            None if template
                .is_none_or(|template| template.inputs.iter().any(|input| input.is_destination())) =>
            {
                let key = context.destination_key();
                return Err(format!(
                    "context.{key}: name the URL to send to, beginning with http:// or https://"
                ));
            }
            None => {
                missing.insert(0, context.destination_key());
                ""
            }
        };
        let network = match context.text("sx_network_id") {
            Some(_) => u64::try_from(context.number("sx_network_id", 1, i64::MAX, 1)?).ok().map(NetworkId),
            None => template.and_then(|template| template.network),
        };
        if context.lacks_network(network) {
            missing.push("sx_network_id".to_owned());
        }
        let redeliveries = context.number("max_delivery_attempts", 0, REDELIVERIES_MAX, REDELIVERIES)?;
        let request = template.filter(|template| !template.free).map(|template| &template.request);
        let body = context.body()?;
        conditions::cap_of(&context)?;
        let recipients = context.recipients(network)?;
        Ok(Self {
            destination,
            missing,
            delay_ms: context.number("deferred_for", 0, DEFERRED_FOR_MAX_MS, 0)?,
            attempts_allowed: 1 + u32::try_from(redeliveries).unwrap_or_default(),
            network,
            recipients,
            usual: context.text("sx_delivery").is_none(),
            countries: context.countries()?,
            duplicates: context.switch("sx_duplicates", false)?,
            corrections: context.switch("sx_corrections", false)?,
            all_data: context.switch("sx_all_data", false)?,
            network_data: context.switch("sx_network_data", true)?,
            data_controlled: context.switch("sx_data_controlled", false)?,
            consent: context.switch("sx_consent", false)?,
            session_cap: context.switch("sx_session_cap", recipients != Recipients::All)?,
            condition: Condition::of(&context)?,
            lookback: Lookback::of(&context)?,
            required: context.required()?,
            method: context.method(body)?,
            query: request.map(|request| request.query.as_slice()).unwrap_or_default(),
            omit_empty: request.is_some_and(|request| request.omit_empty),
            headers: context.headers()?,
            basic: request
                .and_then(|request| request.basic.as_ref())
                .map(|(user, password)| (user.as_str(), password.as_str())),
            body,
            content_type: request.and_then(|request| request.content_type.as_deref()),
            success_match: context
                .text("sx_success_match")
                .or_else(|| template?.request.success_match.as_deref()),
            event_name: context.text("sx_event_name"),
            event_names: context.pairs("sx_event_names")?,
            context,
        })
    }

    /// Who is told of a conversion. An app may have all installs told to all partners whose triggers do not say
    /// whom they are for (postbacks.md section 5: app-wide forwarding).
    pub fn recipients_of(&self, conversion: &Conversion<'_>) -> Recipients {
        let forwarded = self.usual
            && conversion.kind == TriggerKind::Install
            && conversion.app.policy.forward_installs == Some(true);
        if forwarded { Recipients::All } else { self.recipients }
    }

    /// What a macro without a value is replaced by: `sx_default.<macro>`, else `sx_default`, else nothing.
    pub fn default_of(&self, name: &str) -> Option<Filling<'t>> {
        match self.context.default_of(name)? {
            Value::Text(text) if text.is_empty() => None,
            Value::Text(text) if is_json_number(text) => Some(Filling::Number(text.into())),
            value => Some(value.into()),
        }
    }

    /// A value of the context, or what the template has for it.
    pub fn value(&self, key: &str) -> Option<&'t Value> {
        self.context.value(key)
    }

    /// The title of the trigger.
    pub fn title(&self) -> &'t str {
        &self.context.trigger.title
    }

    /// What the partner is to call an event: as `sx_event_names` maps it, else `sx_event_name`, else its
    /// own name (postbacks.md section 5: event renaming).
    pub fn renamed<'n>(&'n self, name: &'n str) -> &'n str {
        let mapped = self.event_names.iter().find(|(from, _)| from == name).map(|(_, to)| to.as_str());
        mapped.or(self.event_name).unwrap_or(name)
    }

    /// Every text of the request that may hold macros.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let fields = match self.body {
            Body::Fields(fields) => fields,
            Body::Url | Body::Form | Body::Json(_) => &[],
        };
        let json = if let Body::Json(text) = self.body { Some(text) } else { None };
        [Some(self.destination), json]
            .into_iter()
            .flatten()
            .chain(self.query.iter().map(|(_, value)| value.as_str()))
            .chain(fields.iter().map(|field| field.value.as_str()))
            .chain(self.headers.iter().map(|(_, value)| value.as_str()))
            .chain(self.basic.into_iter().flat_map(|(user, password)| [user, password]))
    }

    /// Whether the request names `{name}` anywhere itself.
    pub fn names(&self, name: &str) -> bool {
        self.texts().flat_map(tokens).any(|token| token.name == name)
    }

    /// Refuses headers of the trigger that could never be sent. Only what is saved is looked at: what was saved
    /// before this was a rule goes on as `bad_url`.
    pub fn check_headers(&self) -> Result<(), String> {
        let asked = self.context.pairs("sx_headers")?;
        match asked.iter().find_map(|(name, value)| Some((name, wrong_header(value)?))) {
            Some((name, wrong)) => Err(format!("context.sx_headers.{name}: {wrong}")),
            None => Ok(()),
        }
    }

    /// What is odd but allowed: what is still missing, macros and settings that mean nothing here, choices
    /// that are none.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |warning: String| {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        };
        for key in &self.missing {
            warn(format!("context.{key}: is not set; nothing is sent until it is (incomplete)"));
        }
        for token in self.texts().flat_map(tokens) {
            if Macro::of(token).is_none() {
                let format = token.format.map(|format| format!(":{format}")).unwrap_or_default();
                warn(format!("unknown macro {{{}{format}}}: it renders as a missing value", token.name));
            }
        }
        let outside_json = self.headers.iter().map(|(_, value)| value.as_str()).chain([self.destination]);
        for braces in outside_json.flat_map(no_tokens) {
            warn(format!(
                "{braces} is no macro: letters, digits, _ and . make a name; it is sent as it stands"
            ));
        }
        for (key, value) in &self.context.trigger.context {
            idle(key).into_iter().for_each(&mut warn);
            self.warn_of_choice(key, value, &mut warn);
        }
        if let (true, Body::Json(text)) = (self.all_data, self.body)
            && !text.starts_with('{')
            && !self.names("event_data")
        {
            warn(
                "context.sx_all_data: a JSON list has no place for the data; name {event_data} in it".into(),
            );
        }
        warnings
    }

    fn warn_of_choice(&self, key: &str, value: &Value, warn: &mut impl FnMut(String)) {
        let input = self.context.template.and_then(|template| template.input(key));
        let Some(input) = input.filter(|input| !input.options.is_empty() && !input.is_destination()) else {
            return;
        };
        let known = input.options.iter().any(|(option, _)| option.text() == value.text());
        if !known && !value.text().is_empty() {
            let options: Vec<_> = input.options.iter().map(|(option, _)| option.text()).collect();
            warn(format!("context.{key}: is usually one of {}", options.join(", ")));
        }
    }
}

/// Why a key of ours changes nothing, when it does not.
fn idle(key: &str) -> Option<String> {
    if let Some(name) = key.strip_prefix(DEFAULT_OF) {
        let known = Macro::of(Token { name, format: None }).is_some();
        return (!known).then(|| format!("context.{key}: there is no macro {{{name}}}"));
    }
    let unknown = key.starts_with("sx_") && !OWN.contains(&key);
    unknown.then(|| format!("context.{key}: not a setting that this version knows; it changes nothing"))
}
