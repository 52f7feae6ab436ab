//! Where a click leads (tracking-and-attribution.md section 4).
//!
//! The scheme, and the host of the web, are the tracker's, always: nothing of the query gets there, because a
//! redirect that a stranger can steer is a gift to phishers. Under a scheme of the app itself every place may be
//! filled: whatever stands there, it is that app that opens.

use measure::{
    TouchId,
    catalogue::{App, DestinationKind, Tracker},
    platform::Os,
    referrer::ReferrerKeys,
};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Link, is_placeholder};

/// What a value of the query may not hold unencoded.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What a `Location` may not hold unencoded. A `%` stays: the tracker's URL is encoded already.
const LOCATION: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// Schemes that run or read something on the device: never, even if configured.
const FORBIDDEN_SCHEMES: [&str; 8] =
    ["javascript", "data", "vbscript", "file", "blob", "about", "view-source", "filesystem"];
/// Characters of a scheme at most.
const SCHEME_CHARS_MAX: usize = 64;
/// Hosts of app stores, which know no `ko_click_id`.
const STORE_HOSTS: [&str; 4] =
    ["play.google.com", "apps.apple.com", "itunes.apple.com", "apps.microsoft.com"];

/// A tracker's URL taken apart.
struct Template<'a> {
    scheme: String,
    authority: &'a str,
    rest: &'a str,
}

impl Link {
    /// Where the click leads: the tracker's URL with `{key}` placeholders filled from the query, with the
    /// install referrer for the Play store, with `ko_click_id` for pages on the web.
    ///
    /// `os` is that of [`Link::os`]: it tells whether `device_id` is an IDFA, which `att=0` forbids to hand on.
    ///
    /// `None` when the URL cannot be used ([`check_destination`]), as it may be once the app has given up a scheme.
    #[must_use]
    pub fn destination(
        &self,
        tracker: &Tracker,
        app: &App,
        os: Option<&Os>,
        click: TouchId,
    ) -> Option<String> {
        let forbidden = self.forbidden(os);
        let link = self.without(&forbidden);
        let template = template(&tracker.destination_url, &app.schemes).ok()?;
        let is_web = matches!(template.scheme.as_str(), "http" | "https");
        let is_market = template.scheme == "market";
        let authority = filled(template.authority, |key| link.value(key));
        let authority = utf8_percent_encode(&authority, LOCATION).to_string();
        let rest = filled(template.rest, |key| link.value(key));
        let rest = utf8_percent_encode(&rest, LOCATION).to_string();
        let rest = if is_web && !rest.starts_with('/') { format!("/{rest}") } else { rest };
        let host = host(&authority);
        let is_play = is_market || is_web && host == "play.google.com";
        let rest = if tracker.destination == DestinationKind::GoogleReferrer {
            with_parameter(&rest, "referrer", &referrer(tracker, app, click), true)
        } else if is_play {
            with_parameter(&rest, "referrer", &referrer(tracker, app, click), false)
        } else if is_web && !STORE_HOSTS.contains(&host.as_str()) {
            with_parameter(&rest, "ko_click_id", &click.to_string(), true)
        } else {
            rest
        };
        Some(format!("{}://{authority}{rest}", template.scheme))
    }

    /// The value of a placeholder, encoded; empty when the query does not fill it.
    fn value(&self, key: &str) -> String {
        let value = self.last(key).filter(|value| !is_placeholder(key, value)).unwrap_or_default();
        utf8_percent_encode(value, VALUE).to_string()
    }
}

/// Whether clicks may lead to a tracker's URL, in an app with these schemes of its own: to http, https, market and
/// those. Scheme and host of the web stand as they are: no placeholder may choose where people are sent.
///
/// # Errors
/// What to write instead.
pub fn check_destination(url: &str, schemes: &[String]) -> Result<(), String> {
    template(url, schemes).map(|_| ())
}

/// A scheme as an app may have one of its own, in lower case: `demo` from `demo` or `demo://`.
///
/// # Errors
/// What is wrong with it.
pub fn own_scheme(text: &str) -> Result<String, &'static str> {
    let scheme = text.trim_end_matches("://").to_ascii_lowercase();
    if !is_scheme(&scheme) || scheme.len() > SCHEME_CHARS_MAX {
        return Err("a scheme has at most 64 letters, digits, `+`, `-` or `.` and begins with a letter");
    }
    if FORBIDDEN_SCHEMES.contains(&scheme.as_str()) {
        return Err("this scheme runs or reads something on the device and is not allowed");
    }
    Ok(scheme)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

fn template<'u>(url: &'u str, schemes: &[String]) -> Result<Template<'u>, String> {
    let url = url.trim();
    let (scheme, rest) = url
        .split_once(':')
        .filter(|(scheme, _)| is_scheme(scheme))
        .ok_or_else(|| "must begin with https://, http://, market:// or a scheme of the app".to_owned())?;
    let scheme = scheme.to_ascii_lowercase();
    let (is_web, is_market) = (matches!(scheme.as_str(), "http" | "https"), scheme == "market");
    if FORBIDDEN_SCHEMES.contains(&scheme.as_str()) {
        return Err(format!("{scheme}: is not allowed; use https, http, market or a scheme of the app"));
    }
    if !is_web && !is_market && !schemes.contains(&scheme) {
        return Err(format!(
            "{scheme}: is no scheme of this app; name it first in the app's settings: \
             {{\"settings\":{{\"schemes\":[\"{scheme}\"]}}}}"
        ));
    }
    // Browsers read a backslash as a slash and skip line breaks: nobody knows which host that would be.
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("must not hold spaces or line breaks; write %20".to_owned());
    }
    let rest = rest.strip_prefix("//").ok_or_else(|| format!("write // after {scheme}:"))?;
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if (is_web || is_market) && authority.contains(['{', '}', '\\', '@']) {
        return Err("the host must stand as it is, without placeholders or a user name".to_owned());
    }
    if is_web && host(authority).is_empty() {
        return Err("a host must follow the scheme".to_owned());
    }
    Ok(Template { scheme, authority, rest })
}

/// The host of an authority, in lower case, without user and port.
fn host(authority: &str) -> String {
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => host,
    };
    host.to_ascii_lowercase()
}

/// The template with each `{key}` replaced. A brace without its partner stays.
fn filled(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match after.split_once('}') {
            Some((key, behind)) => {
                filled.push_str(&value(key));
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// What the Play store hands to the app at its first launch.
fn referrer(tracker: &Tracker, app: &App, click: TouchId) -> String {
    let ReferrerKeys { click_id, campaign_id } = &app.referrer;
    format!("{click_id}={click}&{campaign_id}={}", utf8_percent_encode(&tracker.guid, VALUE))
}

/// The path and query with a parameter set, in front of the fragment. One that is there already is replaced
/// or, without `replace`, left alone.
fn with_parameter(rest: &str, key: &str, value: &str, replace: bool) -> String {
    let (rest, fragment) = rest.split_at(rest.find('#').unwrap_or(rest.len()));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let is_it = |segment: &&str| segment.split('=').next() == Some(key);
    let (there, others): (Vec<&str>, Vec<&str>) =
        query.split('&').filter(|segment| !segment.is_empty()).partition(is_it);
    if !there.is_empty() && !replace {
        return format!("{rest}{fragment}");
    }
    let own = format!("{key}={}", utf8_percent_encode(value, VALUE));
    let query: Vec<&str> = others.into_iter().chain([own.as_str()]).collect();
    format!("{path}?{}{fragment}", query.join("&"))
}
