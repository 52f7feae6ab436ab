//! What the context of a trigger asks for (postbacks.md sections 4 to 6), read in one place: saving a
//! trigger and planning with it can never disagree.

use super::{
    CUSTOM_TEMPLATE, Method, Trigger, destination,
    macros::Macro,
    template::{Filling, Token, is_closed_json, is_json_number, tokens},
};
use crate::{NetworkId, event::Value};

/// The longest delay, milliseconds.
pub const DEFERRED_FOR_MAX_MS: i64 = 600_000;
/// The most redeliveries.
pub const REDELIVERIES_MAX: i64 = 10;
/// Redeliveries when nothing is said.
pub const REDELIVERIES: i64 = 3;

const DEFAULT: &str = "sx_default";
const DEFAULT_OF: &str = "sx_default.";

/// Our own keys; others with our prefix are most likely misspelt.
const OWN: [&str; 10] = [
    DEFAULT,
    "sx_body",
    "sx_corrections",
    "sx_countries",
    "sx_delivery",
    "sx_duplicates",
    "sx_method",
    "sx_network_id",
    "sx_required",
    "sx_success_match",
];

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Whoever won, or nobody.
    All,
    /// Only this network, and only when it won.
    Network(NetworkId),
}

/// Which countries are told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Countries<'t> {
    codes: Vec<&'t str>,
    blocks: bool,
}

impl Countries<'_> {
    /// Whether a conversion from `country` may be told of. An unknown country is on no list.
    pub fn allow(&self, country: Option<&str>) -> bool {
        let listed =
            country.is_some_and(|country| self.codes.iter().any(|code| code.eq_ignore_ascii_case(country)));
        listed != self.blocks
    }
}

/// What the body of a request is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'t> {
    /// There is none: the URL says it all.
    Url,
    /// The query of the URL, moved out of it.
    Form,
    /// A JSON template.
    Json(&'t str),
}

/// The settings of a trigger.
#[derive(Clone, Debug)]
pub struct Settings<'t> {
    trigger: &'t Trigger,
    pub destination: &'t str,
    pub delay_ms: i64,
    pub attempts_allowed: u32,
    pub network: Option<NetworkId>,
    pub recipients: Recipients,
    pub countries: Option<Countries<'t>>,
    pub duplicates: bool,
    pub corrections: bool,
    pub required: Vec<Token<'t>>,
    pub method: Method,
    pub body: Body<'t>,
    pub success_match: Option<&'t str>,
}

impl<'t> Settings<'t> {
    /// The settings of `trigger`, or which field is missing or wrong.
    pub fn of(trigger: &'t Trigger) -> Result<Self, String> {
        let (key, destination) = trigger
            .destination()
            .ok_or("context.cpi_mostback_url: name the URL to send to, beginning with http:// or https://")?;
        destination::check(destination)
            .map_err(|reason| format!("context.{key}: not a usable URL: {reason}"))?;
        let network = match trigger.setting("sx_network_id") {
            Some(_) => u64::try_from(number(trigger, "sx_network_id", 1, i64::MAX, 1)?).ok().map(NetworkId),
            None => None,
        };
        let redeliveries = number(trigger, "max_delivery_attempts", 0, REDELIVERIES_MAX, REDELIVERIES)?;
        let body = body(trigger)?;
        Ok(Self {
            trigger,
            destination,
            delay_ms: number(trigger, "deferred_for", 0, DEFERRED_FOR_MAX_MS, 0)?,
            attempts_allowed: 1 + u32::try_from(redeliveries).unwrap_or_default(),
            network,
            recipients: recipients(trigger, network)?,
            countries: countries(trigger)?,
            duplicates: switch(trigger, "sx_duplicates")?,
            corrections: switch(trigger, "sx_corrections")?,
            required: required(trigger)?,
            method: method(trigger, body)?,
            body,
            success_match: trigger.setting("sx_success_match"),
        })
    }

    /// What a macro without a value is replaced by: `sx_default.<macro>`, else `sx_default`, else nothing.
    pub fn default_of(&self, name: &str) -> Option<Filling<'t>> {
        let own = self.trigger.context.iter().find(|(key, _)| key.strip_prefix(DEFAULT_OF) == Some(name));
        let value = match own {
            Some((_, value)) => value,
            None => self.trigger.context.iter().find(|(key, _)| key == DEFAULT).map(|(_, value)| value)?,
        };
        match value {
            Value::Text(text) if text.is_empty() => None,
            Value::Text(text) if is_json_number(text) => Some(Filling::Number(text.into())),
            value => Some(value.into()),
        }
    }

    /// What is odd but allowed: macros and settings that mean nothing here.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |warning: String| {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        };
        let body = if let Body::Json(template) = self.body { template } else { "" };
        for token in tokens(self.destination).chain(tokens(body)) {
            if Macro::of(token).is_none() {
                let format = token.format.map(|format| format!(":{format}")).unwrap_or_default();
                warn(format!("unknown macro {{{}{format}}}: it renders as a missing value", token.name));
            }
        }
        for (key, _) in &self.trigger.context {
            if let Some(name) = key.strip_prefix(DEFAULT_OF) {
                if Macro::of(Token { name, format: None }).is_none() {
                    warn(format!("context.{key}: there is no macro {{{name}}}"));
                }
            } else if key.starts_with("sx_") && !OWN.contains(&key.as_str()) {
                warn(format!("context.{key}: not a setting that this version knows; it changes nothing"));
            }
        }
        warnings
    }
}

fn number(trigger: &Trigger, key: &str, min: i64, max: i64, default: i64) -> Result<i64, String> {
    let Some(text) = trigger.setting(key) else { return Ok(default) };
    let number = text.trim().parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| match max {
        i64::MAX => format!("context.{key}: must be a whole number of at least {min}"),
        max => format!("context.{key}: must be a whole number from {min} to {max}"),
    })
}

fn switch(trigger: &Trigger, key: &str) -> Result<bool, String> {
    match trigger.setting(key) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(format!("context.{key}: must be true or false")),
    }
}

/// Agencies are not told apart yet: `network_agency` is `network` for a trigger of the advertiser.
fn recipients(trigger: &Trigger, network: Option<NetworkId>) -> Result<Recipients, String> {
    let to_network = match trigger.setting("sx_delivery") {
        Some("all") => false,
        Some("network" | "network_agency") => true,
        Some(_) => return Err("context.sx_delivery: must be all, network or network_agency".into()),
        None => network.is_some() || trigger.template != CUSTOM_TEMPLATE,
    };
    match (to_network, network) {
        (false, _) => Ok(Recipients::All),
        (true, Some(network)) => Ok(Recipients::Network(network)),
        (true, None) => Err("context.sx_network_id: name the network that is to be told, or set \
                             context.sx_delivery to all"
            .into()),
    }
}

fn countries(trigger: &Trigger) -> Result<Option<Countries<'_>>, String> {
    let Some(text) = trigger.setting("sx_countries") else { return Ok(None) };
    let items: Vec<&str> = text.split(',').map(str::trim).collect();
    let blocks = items.iter().all(|item| item.starts_with('!'));
    let codes: Vec<&str> =
        items.iter().map(|item| if blocks { item.trim_start_matches('!') } else { item }).collect();
    if codes.iter().any(|code| code.len() != 2 || !code.bytes().all(|b| b.is_ascii_alphabetic())) {
        return Err("context.sx_countries: must be countries to allow, as in US,DE, or countries to block, \
                    as in !US,!DE"
            .into());
    }
    Ok(Some(Countries { codes, blocks }))
}

/// A macro that no conversion can fill would silence the trigger for good, so it is an error here.
fn required(trigger: &Trigger) -> Result<Vec<Token<'_>>, String> {
    let names = trigger.setting("sx_required").unwrap_or_default().split(',').map(str::trim);
    let tokens = names.filter(|name| !name.is_empty()).map(|name| Token { name, format: None });
    tokens
        .map(|token| match Macro::of(token) {
            Some(_) => Ok(token),
            None => Err(format!("context.sx_required: there is no macro {{{}}}", token.name)),
        })
        .collect()
}

fn body(trigger: &Trigger) -> Result<Body<'_>, String> {
    match trigger.setting("sx_body").map(str::trim_start) {
        None | Some("url") => Ok(Body::Url),
        Some("form") => Ok(Body::Form),
        Some(text) if text.starts_with(['{', '[']) && is_closed_json(text) => Ok(Body::Json(text)),
        Some(_) => {
            Err("context.sx_body: must be url, form, or a JSON text that begins with { or [ and closes \
                        what it opens"
                .into())
        }
    }
}

fn method(trigger: &Trigger, body: Body<'_>) -> Result<Method, String> {
    match trigger.setting("sx_method") {
        None if body == Body::Url => Ok(Method::Get),
        None => Ok(Method::Post),
        Some(name) if name.eq_ignore_ascii_case("post") => Ok(Method::Post),
        Some(name) if !name.eq_ignore_ascii_case("get") => {
            Err("context.sx_method: must be GET or POST".into())
        }
        Some(_) if body == Body::Url => Ok(Method::Get),
        Some(_) => Err("context.sx_method: must be POST, because context.sx_body asks for a body".into()),
    }
}
