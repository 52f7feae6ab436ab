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

    use super::{body, header, secrets, url};

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
