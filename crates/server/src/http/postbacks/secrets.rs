//! Inputs that a template marks as secret: shown as `***` wherever a trigger, or a request made from it, is
//! read (postbacks.md sections 8 and 11). A value that is sent back as `***` stays what it is.

use measure::{
    catalogue::Catalogue,
    event::Value,
    postback::{Delivery, Request, Template, Trigger, is_destination},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::record::masking::{self, MASK};

/// What stands as it is in a URL (RFC 3986).
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Shorter values are hidden in triggers only: in a request they would be found everywhere.
const HIDDEN_BYTES_MIN: usize = 4;

/// Whether the value of a context key is a secret.
pub fn is_secret(template: Option<&Template>, key: &str) -> bool {
    template.is_some_and(|template| template.inputs.iter().any(|input| input.secret && input.id == key))
}

/// Whether a value that was sent is what a secret is shown as.
pub fn is_masked(template: Option<&Template>, key: &str, value: &serde_json::Value) -> bool {
    value == MASK && is_secret(template, key)
}

/// Masks the secrets in the context of a trigger, as it is shown. What is empty hides nothing.
pub fn hide(catalogue: &Catalogue, trigger: &Trigger, context: &mut serde_json::Value) {
    let template = catalogue.template(trigger.template).map(AsRef::as_ref);
    for (key, value) in context.as_object_mut().into_iter().flatten() {
        if is_secret(template, key) && !value.is_null() && *value != "" {
            *value = MASK.into();
        }
    }
}

/// The secrets in the requests of one trigger.
pub struct Hidden {
    /// Each value as it may stand in a request: as it is, encoded, or within a JSON text.
    forms: Vec<String>,
    /// Whether the URL itself is one.
    destination: bool,
}

impl Hidden {
    /// Those of the trigger that a delivery was made with, in the version it had then.
    pub fn of(catalogue: &Catalogue, delivery: &Delivery) -> Self {
        let versions = catalogue.trigger_versions(delivery.trigger);
        let then = versions.iter().rev().find(|then| then.trigger.version == delivery.trigger_version);
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
            forms.extend(written(value));
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

fn written(value: &Value) -> Vec<String> {
    let plain = value.text();
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
    use super::*;

    fn hidden(values: &[&str], destination: bool) -> Hidden {
        let forms = values.iter().flat_map(|value| written(&Value::Text((*value).to_owned())));
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
    fn a_destination_that_is_a_secret_shows_its_host() {
        let of = |url: &str| hidden(&[], true).url(&Request { url: url.to_owned(), ..Request::default() });
        assert_eq!(of("https://hooks.example.com/services/T1/B2/x?y=z"), "https://hooks.example.com/***");
        assert_eq!(of("https://u:p@hooks.example.com:8443?x"), "https://hooks.example.com:8443/***");
    }
}
