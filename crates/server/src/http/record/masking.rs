//! Requests as they are shown: without the secrets that partners want in URLs and bodies
//! (postbacks.md sections 8 and 11).

use measure::postback::Request;
use serde_json::Value;

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// What the name of a field says that holds a secret, as one of its words or its end.
const SECRET: [&str; 11] = [
    "key",
    "apikey",
    "token",
    "secret",
    "password",
    "passcode",
    "passwd",
    "pwd",
    "signature",
    "sig",
    "credential",
];

/// Whether a field of this name holds a secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| {
        SECRET.iter().any(|secret| word.ends_with(secret)) || word == "auth" || word == "authorization"
    })
}

/// A URL without the password before its host and the secrets in its query.
pub fn url(url: &str) -> String {
    let masked = password(url);
    match masked.split_once('?') {
        Some((address, rest)) => {
            let (query, fragment) = rest.split_once('#').map_or((rest, None), |(q, f)| (q, Some(f)));
            let fragment = fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default();
            format!("{address}?{}{fragment}", form(query))
        }
        None => masked,
    }
}

/// A URL without the password before its host.
pub fn password(url: &str) -> String {
    let parts = url.split_once("://").and_then(|(scheme, rest)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let (person, host) = authority.rsplit_once('@')?;
        let shown = person.split_once(':').map_or(MASK.to_owned(), |(name, _)| format!("{name}:{MASK}"));
        Some(format!("{scheme}://{shown}@{host}{path}"))
    });
    parts.unwrap_or_else(|| url.to_owned())
}

/// What a URL holds of secrets: what stands before its host, and the parameters named like one.
pub fn secrets(url: &str) -> Vec<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let person = authority.rsplit_once('@').map(|(person, _)| person);
    let password = person.map(|person| person.split_once(':').map_or(person, |(_, password)| password));
    let query = rest.split('#').next().unwrap_or_default().split_once('?').map_or("", |(_, query)| query);
    let named = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(name, _)| is_secret(name));
    password.into_iter().chain(named.map(|(_, value)| value)).filter(|value| !value.is_empty()).collect()
}

fn form(query: &str) -> String {
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if !value.is_empty() && is_secret(name) => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// The body of a request without its secrets: a form by its fields, a JSON text by its keys.
pub fn body(request: &Request) -> String {
    let kind = request.content_type.as_deref().unwrap_or_default();
    if kind.contains("form") {
        return form(&request.body);
    }
    match serde_json::from_str::<Value>(&request.body) {
        Ok(mut value) => {
            // A text without secrets is shown byte for byte.
            if mask(&mut value) { value.to_string() } else { request.body.clone() }
        }
        Err(_) => request.body.clone(),
    }
}

/// A JSON text, macros and all, without the texts that stand under a secret's name. A macro is no secret.
pub fn json_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for (start, value) in named_texts(text) {
        out.push_str(text.get(end..start).unwrap_or_default());
        out.push_str(MASK);
        end = start + value.len();
    }
    out.push_str(text.get(end..).unwrap_or_default());
    out
}

/// The texts of a JSON text that stand under a secret's name, and where each begins.
pub fn named_texts(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    // What stood between quotes before, and where it ended.
    let (mut name, mut end) = ("", 0);
    while let Some(start) = text.get(end..).and_then(|rest| rest.find('"')).map(|place| end + place + 1) {
        let between = text.get(end..start - 1).unwrap_or_default();
        let Some(length) = text.get(start..).and_then(end_of_string) else { break };
        let value = text.get(start..start + length).unwrap_or_default();
        end = start + length + 1;
        if between.trim() == ":" {
            if is_secret(name) && !value.is_empty() && !value.contains('{') {
                found.push((start, value));
            }
            name = "";
        } else {
            name = value;
        }
    }
    found
}

/// How long the JSON string is that `rest` goes on with, up to its closing quote.
fn end_of_string(rest: &str) -> Option<usize> {
    let mut escaped = false;
    rest.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// A header of a request without its secret.
pub fn header<'v>(name: &str, value: &'v str) -> &'v str {
    if is_secret(name) { MASK } else { value }
}

/// Masks what is under a secret's name; whether there was anything.
fn mask(value: &mut Value) -> bool {
    match value {
        Value::Object(fields) => {
            let mut found = false;
            for (name, value) in fields {
                let holds = matches!(value, Value::String(_) | Value::Number(_)) && is_secret(name);
                if holds {
                    *value = MASK.into();
                }
                found |= holds || mask(value);
            }
            found
        }
        Value::Array(items) => {
            let masked = items.iter_mut().filter_map(|item| mask(item).then_some(()));
            masked.count() > 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use measure::postback::Request;

    use super::{body, header, json_text, secrets, url};

    #[test]
    fn secrets_in_urls_are_masked() {
        for (shown, expected) in [
            ("https://p.example/pb?cid=1", "https://p.example/pb?cid=1"),
            ("https://u:pw@p.example/?a=b", "https://u:***@p.example/?a=b"),
            ("https://u@p.example/", "https://***@p.example/"),
            ("https://p.example/?api_key=1&x=2", "https://p.example/?api_key=***&x=2"),
            ("https://p.example/?apiKey=1&x=2#f", "https://p.example/?apiKey=***&x=2#f"),
            ("https://p.example/?access-token=1", "https://p.example/?access-token=***"),
            ("https://p.example/?token=&secret=s", "https://p.example/?token=&secret=***"),
            (
                "https://p.example/?Password=1&sig=2&signature=3",
                "https://p.example/?Password=***&sig=***&signature=***",
            ),
            ("https://p.example/?monkeys=3&design=2", "https://p.example/?monkeys=3&design=2"),
            ("not a url", "not a url"),
        ] {
            assert_eq!(url(shown), expected);
        }
    }

    #[test]
    fn secrets_in_urls_are_found() {
        for (url, expected) in [
            ("https://p.example/pb?cid=1", &[][..]),
            ("https://u:pw@p.example/?api_key=k&x=2&token=#token=t", &["pw", "k"][..]),
            ("https://u@p.example", &["u"][..]),
            ("https://p.example/a@b?sig=s", &["s"][..]),
        ] {
            assert_eq!(secrets(url), expected, "{url}");
        }
    }

    #[test]
    fn secrets_in_headers_are_masked() {
        for (name, expected) in [
            ("authorization", "***"),
            ("Api-Key", "***"),
            ("X-CleverTap-Passcode", "***"),
            ("X-CleverTap-Account-Id", "v"),
            ("X-House", "v"),
        ] {
            assert_eq!(header(name, "v"), expected, "{name}");
        }
    }

    #[test]
    fn secrets_in_templates_of_bodies_are_masked() {
        for (text, expected) in [
            (r#"{"token": "t", "v": {event_value}}"#, r#"{"token": "***", "v": {event_value}}"#),
            (
                r#"{"a":{"api_key" : "k\"1\\"},"b":["key","x"]}"#,
                r#"{"a":{"api_key" : "***"},"b":["key","x"]}"#,
            ),
            (
                r#"{"token":"{click_id}","secret":"","key":{revenue}}"#,
                r#"{"token":"{click_id}","secret":"","key":{revenue}}"#,
            ),
            (r#"{"v":"token","w":"x"}"#, r#"{"v":"token","w":"x"}"#),
            (r#"{"token":"open"#, r#"{"token":"open"#),
            ("", ""),
        ] {
            assert_eq!(json_text(text), expected, "{text}");
        }
    }

    #[test]
    fn secrets_in_bodies_are_masked() {
        let of = |kind: &str, text: &str| {
            body(&Request {
                content_type: Some(kind.to_owned()),
                body: text.to_owned(),
                ..Request::default()
            })
        };
        assert_eq!(of("application/x-www-form-urlencoded", "key=1&v=2"), "key=***&v=2");
        assert_eq!(of("application/json", r#"{"v": 1.50}"#), r#"{"v": 1.50}"#);
        let masked = of("application/json", r#"{"a":[{"api_token":"x","v":1}],"secret":{"v":2}}"#);
        assert_eq!(masked, r#"{"a":[{"api_token":"***","v":1}],"secret":{"v":2}}"#);
        assert_eq!(of("text/plain", "key=1"), "key=1");
    }
}
