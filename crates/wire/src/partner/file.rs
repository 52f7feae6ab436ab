//! A file of the catalogue as it is written, and the checks that make a [`Template`] of it.

use std::{fmt, marker::PhantomData};

use measure::{
    NetworkId, TemplateId,
    event::Value,
    platform,
    postback::{
        BodyTemplate, Field, Input, Method, RequestTemplate, Template, TriggerKind, check_template,
        check_url, is_header, is_json_template, is_macro, tokens, wrong_header,
    },
};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use toml::Spanned;

/// The delays to choose from, milliseconds, and their labels (postbacks.md section 5).
const DELAYS: [(i64, &str); 8] = [
    (0, "Realtime Delivery"),
    (30_000, "30 Second Delay"),
    (60_000, "1 Minute Delay"),
    (120_000, "2 Minute Delay"),
    (180_000, "3 Minute Delay"),
    (240_000, "4 Minute Delay"),
    (300_000, "5 Minute Delay"),
    (600_000, "10 Minute Delay"),
];

/// Days of a look-back window, at most.
const DAYS_MAX: u32 = 365;

/// What is wrong, and the byte of the file where.
pub struct Wrong {
    pub place: usize,
    pub reason: String,
}

fn wrong<T>(text: &Spanned<impl Sized>, reason: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { place: text.span().start, reason: reason.into() })
}

/// A table in the order of the file.
struct Pairs<T>(Vec<(String, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Table<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Table(PhantomData))
    }
}

/// A text, a number or a boolean, in the type that it has in the file.
struct Scalar(Value);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a whole number or a boolean")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(Value::Text(text.to_owned())))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(Value::Number(number.to_string())))
            }

            fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Scalar, E> {
                Ok(Scalar(Value::Bool(flag)))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partner {
    id: Spanned<u64>,
    name: Spanned<String>,
    #[serde(default)]
    network_id: Option<u64>,
    #[serde(default)]
    to_network: Option<bool>,
    #[serde(default)]
    platform: Option<Spanned<String>>,
    #[serde(default)]
    kinds: Option<Spanned<Vec<Kind>>>,
    #[serde(default)]
    free: Option<Spanned<bool>>,
    #[serde(default)]
    required: Vec<Spanned<String>>,
    #[serde(default = "yes")]
    delay: bool,
    #[serde(default = "yes")]
    retries: bool,
    #[serde(default)]
    inputs: Vec<InputFile>,
    #[serde(default)]
    defaults: Pairs<Spanned<Scalar>>,
    request: Request,
}

const fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Install,
    Event,
    Click,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputFile {
    id: Spanned<String>,
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    required: Option<Scalar>,
    #[serde(default)]
    default: Option<Scalar>,
    #[serde(default)]
    options: Vec<OptionFile>,
    /// Short for the options of a look-back window: 1 to this many days.
    #[serde(default)]
    days: u32,
    #[serde(default)]
    secret: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OptionFile {
    value: Scalar,
    label: String,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
enum Verb {
    #[default]
    Get,
    Post,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(default)]
    method: Option<Spanned<Verb>>,
    #[serde(default)]
    url: Option<Spanned<String>>,
    #[serde(default)]
    query: Pairs<Spanned<String>>,
    #[serde(default)]
    headers: Pairs<Spanned<String>>,
    #[serde(default)]
    basic: Option<Basic>,
    #[serde(default)]
    form: Option<Pairs<FieldFile>>,
    #[serde(default)]
    json: Option<Spanned<String>>,
    #[serde(default)]
    content_type: Option<Spanned<String>>,
    #[serde(default)]
    success_match: Option<String>,
    #[serde(default)]
    omit_empty: bool,
}

/// A field of a form: a text, or a JSON text.
#[derive(Deserialize)]
#[serde(untagged)]
enum FieldFile {
    Text(String),
    Json { json: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Basic {
    user: Spanned<String>,
    password: Spanned<String>,
}

impl Partner {
    /// The template, once everything that the file says is known to be usable.
    pub fn template(self) -> Result<Template, Wrong> {
        if *self.id.get_ref() == 0 {
            return wrong(&self.id, "id: must be at least 1");
        }
        if self.name.get_ref().trim().is_empty() {
            return wrong(&self.name, "name: must not be empty");
        }
        let kinds = match &self.kinds {
            Some(kinds) if kinds.get_ref().is_empty() => return wrong(kinds, "kinds: must not be empty"),
            Some(kinds) => kinds.get_ref().clone(),
            None => vec![Kind::Install, Kind::Event, Kind::Click],
        };
        let platform = match &self.platform {
            None => String::new(),
            Some(name) => platform_of(name)?,
        };
        let (mut inputs, mut places) = (Vec::new(), Vec::new());
        for asked in self.inputs {
            let place = asked.id.clone();
            places.push(Place { table: "inputs", key: place.get_ref().clone(), at: place.span().start });
            let asked = asked.input()?;
            if inputs.iter().any(|known: &Input| known.id == asked.id) {
                return wrong(&place, format!("inputs.id: {} is asked for twice", asked.id));
            }
            inputs.push(asked);
        }
        let asked = inputs.len();
        if self.delay {
            inputs.push(delay());
        }
        if self.retries {
            inputs.push(retries());
        }
        let mut defaults = Vec::new();
        for (key, value) in self.defaults.0 {
            places.push(Place { table: "defaults", key: key.clone(), at: value.span().start });
            let value = value.into_inner().0;
            // Of the inputs that every template has, it is the default that is shown.
            match inputs.iter_mut().skip(asked).find(|input: &&mut Input| input.id == key) {
                Some(input) => input.default = Some(value),
                None => defaults.push((key, value)),
            }
        }
        let texts = Texts { inputs: &inputs, defaults: &defaults };
        let mut required = Vec::new();
        for names in self.required {
            texts.check_required(&names)?;
            required.push(names.into_inner());
        }
        let free = self.free.as_ref().is_some_and(|free| *free.get_ref());
        let request = texts.request(&self.name, self.request, self.free)?;
        let name = self.name.span().start;
        let template = Template {
            id: TemplateId(self.id.into_inner()),
            name: self.name.into_inner(),
            network: self.network_id.map(NetworkId),
            to_network: self.to_network.unwrap_or(self.network_id.is_some()),
            platform,
            kinds: kinds.into_iter().map(TriggerKind::from).collect(),
            free,
            inputs,
            request,
            required,
            defaults,
            retired: false,
        };
        check_template(&template).map_err(|reason| Place::wrong(&places, name, &reason))?;
        Ok(template)
    }
}

fn platform_of(name: &Spanned<String>) -> Result<String, Wrong> {
    match platform::named(name.get_ref()) {
        Some(known) => Ok(known.to_owned()),
        None if name.get_ref().is_empty() => Ok(String::new()),
        None => wrong(name, format!("platform: must be one of {}, or empty", platform::PLATFORMS.join(", "))),
    }
}

/// Where a file has something for a context key.
struct Place {
    table: &'static str,
    key: String,
    at: usize,
}

impl Place {
    /// What is wrong with the context that a template has, at the key that it is about; `name` is where the
    /// template is named.
    fn wrong(places: &[Self], name: usize, reason: &str) -> Wrong {
        let text = reason.strip_prefix("context.").unwrap_or(reason);
        let about = |place: &&Self| {
            text.strip_prefix(place.key.as_str()).is_some_and(|rest| rest.starts_with([':', '.']))
        };
        match places.iter().filter(about).max_by_key(|place| place.key.len()) {
            Some(place) => Wrong { place: place.at, reason: format!("{}.{text}", place.table) },
            None => Wrong { place: name, reason: reason.to_owned() },
        }
    }
}

impl From<Kind> for TriggerKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Install => Self::Install,
            Kind::Event => Self::Event,
            Kind::Click => Self::Click,
        }
    }
}

impl InputFile {
    fn input(self) -> Result<Input, Wrong> {
        let id = self.id.get_ref();
        let is_key = (1..=56).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !is_key {
            return wrong(&self.id, "inputs.id: must have 1 to 56 lower-case letters, digits and _");
        }
        if self.days > DAYS_MAX {
            return wrong(&self.id, format!("inputs.days: must be at most {DAYS_MAX}"));
        }
        let options = self.options.into_iter().map(|option| (option.value.0, option.label));
        let days = (1..=self.days).map(|days| {
            let label = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
            (Value::Number(days.to_string()), label)
        });
        Ok(Input {
            options: options.chain(days).collect(),
            id: self.id.into_inner(),
            name: self.name,
            description: self.description,
            required: self.required.map(|required| required.0),
            default: self.default.map(|default| default.0),
            secret: self.secret,
        })
    }
}

fn delay() -> Input {
    Input {
        id: "deferred_for".to_owned(),
        name: "Delivery Delay".to_owned(),
        description: "Automatically delay postback delivery for this time duration".to_owned(),
        required: None,
        default: Some(Value::Number("0".to_owned())),
        options: DELAYS
            .iter()
            .map(|(ms, label)| (Value::Number(ms.to_string()), (*label).to_owned()))
            .collect(),
        secret: false,
    }
}

fn retries() -> Input {
    let label = |count: i32| match count {
        0 => "Do Not Retry".to_owned(),
        1 => "1 Attempt".to_owned(),
        count => format!("{count} Attempts"),
    };
    Input {
        id: "max_delivery_attempts".to_owned(),
        name: "Retry Attempts".to_owned(),
        description: "Max times to attempt redelivery in event of posting failure".to_owned(),
        required: None,
        default: Some(Value::Number("3".to_owned())),
        options: (0..=10).map(|count| (Value::Number(count.to_string()), label(count))).collect(),
        secret: false,
    }
}

/// What macros of a file may refer to.
struct Texts<'f> {
    inputs: &'f [Input],
    defaults: &'f [(String, Value)],
}

impl Texts<'_> {
    /// Checks that every macro of a text exists and that what it takes from the context is asked for.
    fn check(&self, what: &str, text: &Spanned<String>) -> Result<(), Wrong> {
        for token in tokens(text.get_ref()) {
            if !is_macro(token) {
                return wrong(text, format!("{what}: there is no macro {{{}}}", token.name));
            }
            let Some(key) = token.name.strip_prefix("context.") else { continue };
            let known = self.inputs.iter().any(|input| input.id == key)
                || self.defaults.iter().any(|(known, _)| known == key);
            if !known {
                return wrong(text, format!("{what}: {{{}}} is none of the inputs", token.name));
            }
        }
        Ok(())
    }

    fn check_required(&self, names: &Spanned<String>) -> Result<(), Wrong> {
        for name in names.get_ref().split('|') {
            let text = Spanned::new(names.span(), format!("{{{}}}", name.trim()));
            if tokens(text.get_ref()).next().is_none() {
                return wrong(names, format!("required: {name} is not the name of a macro"));
            }
            self.check("required", &text)?;
        }
        Ok(())
    }

    fn pairs(&self, what: &str, pairs: Pairs<Spanned<String>>) -> Result<Vec<(String, String)>, Wrong> {
        let mut checked = Vec::new();
        for (name, value) in pairs.0 {
            self.check(&format!("{what}.{name}"), &value)?;
            checked.push((name, value.into_inner()));
        }
        Ok(checked)
    }

    fn fields(&self, place: &Spanned<()>, form: Pairs<FieldFile>) -> Result<Vec<Field>, Wrong> {
        let mut fields = Vec::new();
        for (name, value) in form.0 {
            let (value, json) = match value {
                FieldFile::Text(value) => (value, false),
                FieldFile::Json { json } => (json.trim().to_owned(), true),
            };
            let what = format!("request.form.{name}");
            self.check(&what, &Spanned::new(place.span(), value.clone()))?;
            if json && !is_json_template(&value) {
                return wrong(place, format!("{what}: not JSON once its macros are left out"));
            }
            fields.push(Field { name, value, json });
        }
        Ok(fields)
    }

    fn request(
        &self,
        name: &Spanned<String>,
        request: Request,
        free: Option<Spanned<bool>>,
    ) -> Result<RequestTemplate, Wrong> {
        let method = request.method.as_ref().map_or(Verb::Get, |method| *method.get_ref());
        let place = request.method.as_ref().map_or(name.span(), Spanned::span);
        let place = Spanned::new(place, ());
        if let Some(url) = &request.url {
            self.check("request.url", url)?;
            if let Err(reason) = check_url(url.get_ref()) {
                return wrong(url, format!("request.url: not a usable URL: {reason}"));
            }
        }
        for input in self.inputs.iter().filter(|input| input.is_destination()) {
            let default = input.default.as_ref().map(Value::text).filter(|url| !url.is_empty());
            if let Some(Err(reason)) = default.map(check_url) {
                return wrong(&place, format!("inputs.{}: not a usable URL: {reason}", input.id));
            }
        }
        if let Some((name, value)) = request.headers.0.iter().find(|(name, _)| !is_header(name)) {
            return wrong(value, format!("request.headers.{name}: not a header that can be set"));
        }
        let values = request.headers.0.iter().map(|(name, value)| (format!("headers.{name}"), value));
        let content_type = request.content_type.iter().map(|value| ("content_type".to_owned(), value));
        for (what, value) in values.chain(content_type) {
            if let Some(reason) = wrong_header(value.get_ref()) {
                return wrong(value, format!("request.{what}: {reason}"));
            }
        }
        let fixed = request.json.is_some()
            || request.form.is_some()
            || request.basic.is_some()
            || !request.query.0.is_empty();
        if let Some(free) = free.filter(|free| *free.get_ref() && fixed) {
            return wrong(&free, "request: a free template leaves query, body and user to the trigger");
        }
        let body = self.body(&place, request.json, request.form)?;
        if method == Verb::Get && body != BodyTemplate::None {
            return wrong(&place, "request.method: must be POST, because there is a body");
        }
        if let Some(basic) = &request.basic {
            self.check("request.basic.user", &basic.user)?;
            self.check("request.basic.password", &basic.password)?;
        }
        Ok(RequestTemplate {
            method: match method {
                Verb::Get => Method::Get,
                Verb::Post => Method::Post,
            },
            url: request.url.map(Spanned::into_inner).unwrap_or_default(),
            query: self.pairs("request.query", request.query)?,
            headers: self.pairs("request.headers", request.headers)?,
            basic: request.basic.map(|basic| (basic.user.into_inner(), basic.password.into_inner())),
            body,
            content_type: request.content_type.map(Spanned::into_inner),
            success_match: request.success_match,
            omit_empty: request.omit_empty,
        })
    }

    fn body(
        &self,
        place: &Spanned<()>,
        json: Option<Spanned<String>>,
        form: Option<Pairs<FieldFile>>,
    ) -> Result<BodyTemplate, Wrong> {
        match (json, form) {
            (None, None) => Ok(BodyTemplate::None),
            (None, Some(form)) => Ok(BodyTemplate::Form(self.fields(place, form)?)),
            (Some(json), None) => {
                self.check("request.json", &json)?;
                if !is_json_template(json.get_ref()) {
                    return wrong(&json, "request.json: not JSON once its macros are left out");
                }
                Ok(BodyTemplate::Json(json.into_inner().trim().to_owned()))
            }
            (Some(_), Some(_)) => wrong(place, "request: has one body, json or form"),
        }
    }
}
