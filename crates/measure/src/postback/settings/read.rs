//! Single settings, read from the context of a trigger and from what its template has for those that are
//! not set.

use serde_json::{Map, Value as Json};

use super::super::{
    BodyTemplate, CUSTOM_TEMPLATE, Field, Method, Template, Trigger,
    macros::Macro,
    text::{Token, is_closed_json},
};
use super::{DEFAULT, DEFAULT_OF, URL_KEY};
use crate::{NetworkId, event::Value};

/// Headers and renamed events of one trigger, at most.
const PAIRS_MAX: usize = 64;

/// Headers that the sender sets itself.
const RESERVED: [&str; 13] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-sextant-delivery",
];

/// Whether `name` may be set as a header: a token of RFC 9110 that the sender does not set itself, and none
/// of the signature.
#[must_use]
pub fn is_header(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        && !name.to_ascii_lowercase().starts_with("webhook-")
        && !RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

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
    /// A form of the template.
    Fields(&'t [Field]),
    /// A JSON text with macros.
    Json(&'t str),
}

/// A trigger and its template.
#[derive(Clone, Copy, Debug)]
pub struct Context<'t> {
    pub trigger: &'t Trigger,
    pub template: Option<&'t Template>,
}

impl<'t> Context<'t> {
    /// The value of a key, unless it is empty; else what the template has for it.
    pub fn value(&self, key: &str) -> Option<&'t Value> {
        let given = self.trigger.context.iter().find(|(known, _)| known == key).map(|(_, value)| value);
        given
            .filter(|value| !value.text().is_empty())
            .or_else(|| self.template.and_then(|template| template.default_of(key)))
    }

    /// As [`Self::value`], as text.
    pub fn text(&self, key: &str) -> Option<&'t str> {
        self.value(key).map(Value::text)
    }

    /// The default of a macro, as written.
    pub fn default_of(&self, name: &str) -> Option<&'t Value> {
        let given = &self.trigger.context;
        let own = given.iter().find(|(key, _)| key.strip_prefix(DEFAULT_OF) == Some(name));
        let any = || given.iter().find(|(key, _)| key == DEFAULT);
        let of_template = || {
            let defaults = &self.template?.defaults;
            let own = defaults.iter().find(|(key, _)| key.strip_prefix(DEFAULT_OF) == Some(name));
            own.or_else(|| defaults.iter().find(|(key, _)| key == DEFAULT))
        };
        own.or_else(any).or_else(of_template).map(|(_, value)| value)
    }

    /// The URL to send to and the key that holds it: of the context, else what the template has.
    pub fn destination(&self) -> Option<(&'t str, &'t str)> {
        self.trigger.destination().or_else(|| {
            let template = self.template?;
            let asked = template.inputs.iter().filter(|input| input.is_destination()).find_map(|input| {
                Some((input.id.as_str(), input.default.as_ref()?.text())).filter(|(_, url)| !url.is_empty())
            });
            asked
                .or_else(|| Some((URL_KEY, template.request.url.as_str())).filter(|(_, url)| !url.is_empty()))
        })
    }

    /// The key that the URL is to be given under.
    pub fn destination_key(&self) -> String {
        let inputs = self.template.map(|template| template.inputs.as_slice()).unwrap_or_default();
        if let Some(input) = inputs.iter().find(|input| input.is_destination()) {
            return input.id.clone();
        }
        let of_network = inputs.iter().find_map(|input| {
            let name = input.id.strip_prefix("cpi_")?;
            let end = ["_app_id", "_device_id_lookback_window", "_fingerprint_lookback_window"];
            end.iter().find_map(|end| name.strip_suffix(end))
        });
        of_network.map_or_else(|| URL_KEY.to_owned(), |network| format!("cpi_{network}_mostback_url"))
    }

    /// Required inputs, the URL apart, that are not set.
    pub fn missing(&self) -> Vec<String> {
        let inputs = self.template.map(|template| template.inputs.as_slice()).unwrap_or_default();
        inputs
            .iter()
            .filter(|input| input.is_required() && !input.is_destination() && self.value(&input.id).is_none())
            .map(|input| input.id.clone())
            .collect()
    }

    pub fn number(&self, key: &str, min: i64, max: i64, default: i64) -> Result<i64, String> {
        let Some(text) = self.text(key) else { return Ok(default) };
        let number = text.trim().parse().ok().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| match max {
            i64::MAX => format!("context.{key}: must be a whole number of at least {min}"),
            max => format!("context.{key}: must be a whole number from {min} to {max}"),
        })
    }

    pub fn switch(&self, key: &str, default: bool) -> Result<bool, String> {
        match self.text(key) {
            None => Ok(default),
            Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(format!("context.{key}: must be true or false")),
        }
    }

    /// An object, given as such or as text.
    pub fn object(&self, key: &str) -> Result<Option<Map<String, Json>>, String> {
        let Some(text) = self.text(key) else { return Ok(None) };
        match serde_json::from_str(text) {
            Ok(Json::Object(object)) => Ok(Some(object)),
            _ => Err(format!("context.{key}: must be a JSON object")),
        }
    }

    /// An object of texts.
    pub fn pairs(&self, key: &str) -> Result<Vec<(String, String)>, String> {
        let object = self.object(key)?.unwrap_or_default();
        if object.len() > PAIRS_MAX {
            return Err(format!("context.{key}: must have at most {PAIRS_MAX} members"));
        }
        let texts = object.into_iter().map(|(name, value)| match value {
            Json::String(text) => Ok((name, text)),
            _ => Err(format!("context.{key}.{name}: must be a text")),
        });
        texts.collect()
    }

    /// Whether nothing says which network a trigger is for, although its URL is one of a network's own: its template
    /// is not in the catalogue.
    pub fn lacks_network(&self, network: Option<NetworkId>) -> bool {
        network.is_none()
            && self.template.is_none()
            && self.trigger.template != CUSTOM_TEMPLATE
            && self.text("sx_delivery").is_none()
    }

    /// Agencies are not told apart yet: `network_agency` is `network` for a trigger of the advertiser.
    pub fn recipients(&self, network: Option<NetworkId>) -> Result<Recipients, String> {
        let to_network = match self.text("sx_delivery") {
            Some("all") => false,
            Some("network" | "network_agency") => true,
            Some(_) => return Err("context.sx_delivery: must be all, network or network_agency".into()),
            None => {
                let by_template = match self.template {
                    Some(template) => template.to_network,
                    None => self.trigger.template != CUSTOM_TEMPLATE,
                };
                network.is_some() || by_template
            }
        };
        match (to_network, network) {
            (false, _) => Ok(Recipients::All),
            (true, Some(network)) => Ok(Recipients::Network(network)),
            // Nobody is told until it is said who is.
            (true, None) if self.lacks_network(network) => Ok(Recipients::All),
            (true, None) => Err("context.sx_network_id: name the network that is to be told, or set \
                                 context.sx_delivery to all"
                .into()),
        }
    }

    pub fn countries(&self) -> Result<Option<Countries<'t>>, String> {
        let Some(text) = self.text("sx_countries") else { return Ok(None) };
        let items: Vec<&str> = text.split(',').map(str::trim).collect();
        let blocks = items.iter().all(|item| item.starts_with('!'));
        let codes: Vec<&str> =
            items.iter().map(|item| if blocks { item.trim_start_matches('!') } else { item }).collect();
        if codes.iter().any(|code| code.len() != 2 || !code.bytes().all(|b| b.is_ascii_alphabetic())) {
            return Err("context.sx_countries: must be countries to allow, as in US,DE, or countries to \
                        block, as in !US,!DE"
                .into());
        }
        Ok(Some(Countries { codes, blocks }))
    }

    /// A macro that no conversion can fill would silence the trigger for good, so it is an error here.
    pub fn required(&self) -> Result<Vec<Vec<Token<'t>>>, String> {
        let asked = self.text("sx_required").unwrap_or_default().split(',').map(str::trim);
        let fixed = self.template.map(|template| template.required.as_slice()).unwrap_or_default();
        let groups = asked.filter(|group| !group.is_empty()).chain(fixed.iter().map(String::as_str));
        let token = |name: &'t str| {
            let token = Token { name: name.trim(), format: None };
            match Macro::of(token) {
                Some(_) => Ok(token),
                None => Err(format!("context.sx_required: there is no macro {{{}}}", token.name)),
            }
        };
        groups.map(|group| group.split('|').map(token).collect()).collect()
    }

    /// What only templates that leave it to the trigger may be told.
    fn own(&self, key: &str) -> Result<Option<&'t str>, String> {
        match self.template.filter(|template| !template.free) {
            None => Ok(self.text(key)),
            Some(template) if self.text(key).is_some() => {
                Err(format!("context.{key}: the template {} has that fixed; leave it out", template.name))
            }
            Some(_) => Ok(None),
        }
    }

    pub fn body(&self) -> Result<Body<'t>, String> {
        let asked = self.own("sx_body")?;
        if let Some(template) = self.template.filter(|template| !template.free) {
            return Ok(match &template.request.body {
                BodyTemplate::None => Body::Url,
                BodyTemplate::Form(fields) => Body::Fields(fields),
                BodyTemplate::Json(text) => Body::Json(text),
            });
        }
        match asked.map(str::trim) {
            None | Some("url") => Ok(Body::Url),
            Some("form") => Ok(Body::Form),
            Some(text) if text.starts_with(['{', '[']) && is_closed_json(text) => Ok(Body::Json(text)),
            Some(_) => Err("context.sx_body: must be url, form, or a JSON text that begins with { or [ and \
                            closes what it opens"
                .into()),
        }
    }

    pub fn method(&self, body: Body<'_>) -> Result<Method, String> {
        let asked = self.own("sx_method")?;
        if let Some(template) = self.template.filter(|template| !template.free) {
            return Ok(template.request.method);
        }
        match asked {
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

    /// The headers of the template, then those of the trigger.
    pub fn headers(&self) -> Result<Vec<(String, String)>, String> {
        let asked = self.pairs("sx_headers")?;
        if let Some((name, _)) = asked.iter().find(|(name, _)| !is_header(name)) {
            return Err(format!("context.sx_headers.{name}: not a header that can be set"));
        }
        let fixed = self.template.map(|template| template.request.headers.clone()).unwrap_or_default();
        let kept = fixed
            .into_iter()
            .filter(|(name, _)| !asked.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
        Ok(kept.chain(asked.iter().cloned()).collect())
    }
}
