//! What is secret in a trigger: inputs that its template marks so, and what its headers and URL hold. It is shown
//! as `***` wherever the trigger, or a request made from it, is read (postbacks.md sections 8 and 11). A value
//! that is sent back as it is shown stays what it is.
//!
//! Parameters of a URL are shown to whoever may change the trigger, as the incumbent shows them: scripts read
//! what they have written.

use measure::{
    TriggerId,
    catalogue::Catalogue,
    postback::{Request, Template, Trigger, is_destination},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value as Json};

use crate::http::record::masking::{self, MASK};

/// What stands as it is in a URL (RFC 3986).
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Shorter values are hidden in triggers only: in a request they would be found everywhere.
const HIDDEN_BYTES_MIN: usize = 4;
/// The same for what only its name makes a secret.
const NAMED_BYTES_MIN: usize = 8;
/// The context key of further headers.
const HEADERS: &str = "sx_headers";
/// The context key of a body.
const BODY: &str = "sx_body";

/// Whether the value of a context key is a secret.
pub fn is_secret(template: Option<&Template>, key: &str) -> bool {
    template.is_some_and(|template| template.inputs.iter().any(|input| input.secret && input.id == key))
}

/// Whether a value that was sent is what a secret is shown as.
pub fn is_masked(template: Option<&Template>, key: &str, value: &serde_json::Value) -> bool {
    value == MASK && is_secret(template, key)
}

/// Masks the secrets in the context of a trigger, as it is shown; `whole` to somebody who may change it. What is
/// empty hides nothing.
pub fn hide(catalogue: &Catalogue, trigger: &Trigger, context: &mut Json, whole: bool) {
    let template = catalogue.template(trigger.template).map(AsRef::as_ref);
    for (key, value) in context.as_object_mut().into_iter().flatten() {
        if !is_secret(template, key) {
            *value = shown(key, value, whole);
        } else if !value.is_null() && *value != "" {
            *value = MASK.into();
        }
    }
}

/// What is shown of a value that may hold secrets without being one.
fn shown(key: &str, value: &Json, whole: bool) -> Json {
    match value {
        Json::String(url) if is_destination(key) => {
            if whole {
                masking::password(url).into()
            } else {
                masking::url(url).into()
            }
        }
        Json::String(text) if key == BODY => masking::json_text(text).into(),
        Json::Object(_) | Json::Array(_) if key == BODY => {
            serde_json::from_str(&masking::json_text(&value.to_string())).unwrap_or_else(|_| value.clone())
        }
        Json::Object(headers) if key == HEADERS => Json::Object(masked(headers)),
        Json::String(text) if key == HEADERS => match serde_json::from_str::<Map<String, Json>>(text) {
            Ok(headers) if masked(&headers) != headers => Json::Object(masked(&headers)).to_string().into(),
            _ => value.clone(),
        },
        _ => value.clone(),
    }
}

fn masked(headers: &Map<String, Json>) -> Map<String, Json> {
    let masked = headers.iter().map(|(name, value)| {
        let shown = value.as_str().map(|value| masking::header(name, value).into());
        (name.clone(), shown.unwrap_or_else(|| value.clone()))
    });
    masked.collect()
}

fn headers_of(value: &Json) -> Option<Map<String, Json>> {
    match value {
        Json::Object(headers) => Some(headers.clone()),
        Json::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

/// What a value that was sent means where parts of the old one are shown masked: what is sent as it is shown
/// stays what it is.
///
/// # Errors
/// What stands where a secret was that is not known: the secret itself has to be sent.
pub fn sent_back(key: &str, old: Option<&Json>, new: Json) -> Result<Json, String> {
    if let Some(old) = old.filter(|old| [true, false].iter().any(|whole| shown(key, old, *whole) == new)) {
        return Ok(old.clone());
    }
    if is_destination(key) {
        let unknown = new.as_str().is_some_and(|url| masking::secrets(url).contains(&MASK));
        return if unknown { Err(key.to_owned()) } else { Ok(new) };
    }
    if key == BODY {
        let text = new.as_str().map_or_else(|| new.to_string(), str::to_owned);
        let unknown = masking::named_texts(&text).iter().any(|(_, value)| *value == MASK);
        return if unknown { Err(key.to_owned()) } else { Ok(new) };
    }
    let (HEADERS, Some(mut headers)) = (key, headers_of(&new)) else { return Ok(new) };
    let known = old.and_then(headers_of).unwrap_or_default();
    let mut restored = false;
    for (name, value) in &mut headers {
        if *value != MASK || masking::header(name, "") != MASK {
            continue;
        }
        let same = known.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        *value = same.map(|(_, value)| value.clone()).ok_or_else(|| format!("{key}.{name}"))?;
        restored = true;
    }
    Ok(if restored { Json::Object(headers) } else { new })
}

/// The secrets in the requests of one trigger.
pub struct Hidden {
    /// Each value as it may stand in a request: as it is, encoded, or within a JSON text.
    forms: Vec<String>,
    /// Whether the URL itself is one.
    destination: bool,
}

impl Hidden {
    /// Those of a trigger in the version that a request was made with.
    pub fn of(catalogue: &Catalogue, trigger: TriggerId, version: u32) -> Self {
        let versions = catalogue.trigger_versions(trigger);
        let then = versions.iter().rev().find(|then| then.trigger.version == version);
        match then.or(versions.last()) {
            Some(then) => {
                let template = catalogue.template(then.trigger.template).map(AsRef::as_ref);
                Self::in_trigger(&then.trigger, template)
            }
            None => Self { forms: Vec::new(), destination: false },
        }
    }

    fn in_trigger(trigger: &Trigger, template: Option<&Template>) -> Self {
        let secrets = trigger.context.iter().filter(|(key, _)| is_secret(template, key));
        let (mut forms, mut destination) = (Vec::new(), false);
        for (key, value) in secrets {
            destination |= is_destination(key);
            forms.extend(written(value.text()));
        }
        for (key, value) in &trigger.context {
            let text = value.text();
            if is_destination(key) {
                let values = masking::secrets(text).into_iter().filter(|value| !value.contains('{'));
                forms.extend(values.flat_map(named));
            } else if key == BODY {
                forms.extend(masking::named_texts(text).into_iter().flat_map(|(_, value)| named(value)));
            } else if key == HEADERS {
                let headers = serde_json::from_str::<Map<String, Json>>(text).unwrap_or_default();
                let secret = headers.iter().filter(|(name, _)| masking::header(name, "") == MASK);
                let values = secret.filter_map(|(_, value)| value.as_str());
                // What follows the name of a scheme, as in `Bearer …`, may be repeated alone.
                forms.extend(
                    values
                        .flat_map(|value| [Some(value), value.split(' ').next_back()])
                        .flatten()
                        .flat_map(named),
                );
            }
        }
        // A longer one may hold a shorter one.
        forms.sort_unstable_by_key(|form: &String| std::cmp::Reverse(form.len()));
        forms.dedup();
        Self { forms, destination }
    }

    /// The URL of a request.
    pub fn url(&self, request: &Request) -> String {
        if self.destination {
            let (scheme, rest) = request.url.split_once("://").unwrap_or_default();
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = host.rsplit('@').next().unwrap_or_default();
            return format!("{scheme}://{host}/{MASK}");
        }
        self.text(&masking::url(&request.url))
    }

    /// The body of a request.
    pub fn body(&self, request: &Request) -> String {
        self.text(&masking::body(request))
    }

    /// Any text in which a secret may stand, such as an answer that repeats it.
    pub fn text(&self, text: &str) -> String {
        self.forms.iter().fold(text.to_owned(), |text, form| text.replace(form.as_str(), MASK))
    }
}

fn named(plain: &str) -> Vec<String> {
    if plain.len() < NAMED_BYTES_MIN { Vec::new() } else { written(plain) }
}

fn written(plain: &str) -> Vec<String> {
    if plain.len() < HIDDEN_BYTES_MIN {
        return Vec::new();
    }
    let encoded = utf8_percent_encode(plain, &ENCODED).to_string();
    let quoted = serde_json::Value::from(plain).to_string();
    let json = quoted.trim_start_matches('"').trim_end_matches('"').to_owned();
    vec![plain.to_owned(), encoded, json]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hidden(values: &[&str], destination: bool) -> Hidden {
        let forms = values.iter().flat_map(|value| written(value));
        Hidden { forms: forms.collect(), destination }
    }

    #[test]
    fn a_secret_is_hidden_in_every_form_it_is_sent_in() {
        let secret = "a/b\"c d";
        for (text, expected) in [
            ("pb?w=a%2Fb%22c%20d&x=1", "pb?w=***&x=1"),
            (r#"{"w":"a/b\"c d"}"#, r#"{"w":"***"}"#),
            ("Bearer a/b\"c d", "Bearer ***"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(hidden(&[secret], false).text(text), expected);
        }
        assert_eq!(hidden(&["abc"], false).text("abcabc"), "abcabc", "too short to be told from other text");
    }

    #[test]
    fn what_is_sent_back_as_it_is_shown_stays_what_it_is() {
        let check = |key: &str, old: Json, new: Json, expected: Result<Json, &str>| {
            let read = sent_back(key, Some(&old), new.clone());
            assert_eq!(read, expected.map_err(str::to_owned), "{key}: {new}");
        };
        let (key, old) = ("cpi_mostback_url", json!("https://u:pass-word@p.example/?api_key=k&x=1"));
        for same in ["https://u:***@p.example/?api_key=k&x=1", "https://u:***@p.example/?api_key=***&x=1"] {
            check(key, old.clone(), json!(same), Ok(old.clone()));
        }
        for unknown in
            ["https://u:***@q.example/", "https://p.example/?api_key=***", "https://***@p.example/"]
        {
            check(key, old.clone(), json!(unknown), Err(key));
        }
        check(key, old.clone(), json!("https://p.example/?x=***"), Ok(json!("https://p.example/?x=***")));
        check("x", json!(1), json!("https://u:***@p.example/"), Ok(json!("https://u:***@p.example/")));

        let old = json!({ "Authorization": "Bearer t", "X-House": "h" });
        check("sx_headers", old.clone(), json!({ "Authorization": "***", "X-House": "h" }), Ok(old.clone()));
        let other = json!({ "authorization": "***", "X-House": "i" });
        check("sx_headers", old.clone(), other, Ok(json!({ "authorization": "Bearer t", "X-House": "i" })));
        check("sx_headers", old.clone(), json!({ "Api-Key": "***" }), Err("sx_headers.Api-Key"));
        check(
            "sx_headers",
            json!(old.to_string()),
            json!({ "Authorization": "***" }),
            Ok(json!({ "Authorization": "Bearer t" })),
        );
        check("sx_headers", old, json!({ "X-House": "***" }), Ok(json!({ "X-House": "***" })));

        let old = json!(r#"{"token":"t","v":{event_value}}"#);
        check("sx_body", old.clone(), json!(r#"{"token":"***","v":{event_value}}"#), Ok(old.clone()));
        check("sx_body", old, json!(r#"{"token":"***","v":1}"#), Err("sx_body"));
        let old = json!({ "token": "t", "v": "***" });
        check("sx_body", old.clone(), json!({ "token": "***", "v": "***" }), Ok(old));
    }

    #[test]
    fn headers_and_passwords_are_masked_and_parameters_for_those_who_only_look() {
        let url = json!("https://u:p@p.example/?api_key=k&c={click_id}");
        assert_eq!(shown("cpi_mostback_url", &url, true), "https://u:***@p.example/?api_key=k&c={click_id}");
        assert_eq!(
            shown("cpi_x_mostback_url", &url, false),
            "https://u:***@p.example/?api_key=***&c={click_id}"
        );
        assert_eq!(shown("other", &url, false), url);
        assert_eq!(
            shown("sx_body", &json!({ "token": ["t", { "key": "k" }] }), true),
            json!({ "token": ["t", { "key": "***" }] })
        );
        let headers = json!({ "Authorization": "Bearer t", "X-House": "h" });
        let expected = json!({ "Authorization": "***", "X-House": "h" });
        assert_eq!(shown("sx_headers", &headers, true), expected);
        assert_eq!(shown("sx_headers", &json!(headers.to_string()), true), json!(expected.to_string()));
        assert_eq!(shown("sx_headers", &json!("{\"X-House\": 1}"), true), json!("{\"X-House\": 1}"));
    }

    #[test]
    fn a_destination_that_is_a_secret_shows_its_host() {
        let of = |url: &str| hidden(&[], true).url(&Request { url: url.to_owned(), ..Request::default() });
        assert_eq!(of("https://hooks.example.com/services/T1/B2/x?y=z"), "https://hooks.example.com/***");
        assert_eq!(of("https://u:p@hooks.example.com:8443?x"), "https://hooks.example.com:8443/***");
    }
}
