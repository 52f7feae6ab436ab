//! Where a click leads (tracking-and-attribution.md section 4).
//!
//! Scheme and host are the tracker's, always: nothing of the query gets there, because a redirect that a
//! stranger can steer is a gift to phishers.

use measure::{
    TouchId,
    catalogue::{App, DestinationKind, Tracker},
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
    /// `None` when the URL cannot be used: no scheme out of http, https, market and the app's own
    /// (`schemes` in the app's settings), or, on the web, no fixed host.
    #[must_use]
    pub fn destination(&self, tracker: &Tracker, app: &App, click: TouchId) -> Option<String> {
        let forbidden = self.forbidden(app.os().as_ref());
        let link = self.without(&forbidden);
        let template = template(tracker.destination_url.trim())?;
        let is_web = matches!(template.scheme.as_str(), "http" | "https");
        let is_market = template.scheme == "market";
        if !is_web && !is_market && !own_schemes(app).contains(&template.scheme) {
            return None;
        }
        let has_gap = template.authority.contains(['{', '}']);
        if has_gap && (is_web || is_market) || is_web && !has_host(template.authority) {
            return None;
        }
        // In an app's own scheme a gap in the place of the host stays empty.
        let authority = if has_gap {
            filled(template.authority, |_| String::new())
        } else {
            template.authority.to_owned()
        };
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

fn template(url: &str) -> Option<Template<'_>> {
    let (scheme, rest) = url.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let scheme = scheme.to_ascii_lowercase();
    if !is_scheme || FORBIDDEN_SCHEMES.contains(&scheme.as_str()) {
        return None;
    }
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    // Browsers read a backslash as a slash and skip line breaks: nobody knows which host that would be.
    let is_odd = |c: char| c == '\\' || c.is_whitespace() || c.is_control();
    (!authority.contains(is_odd)).then_some(Template { scheme, authority, rest })
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

fn has_host(authority: &str) -> bool {
    !host(authority).is_empty()
}

/// The schemes that the app's own deep links use: `schemes` among its other fields or in their `settings`.
fn own_schemes(app: &App) -> Vec<String> {
    let extra: serde_json::Value = serde_json::from_str(&app.extra).unwrap_or_default();
    let lists = [&extra["schemes"], &extra["settings"]["schemes"]];
    let names =
        lists.into_iter().filter_map(|list| list.as_array()).flatten().filter_map(|name| name.as_str());
    names.map(|name| name.trim_end_matches("://").to_ascii_lowercase()).collect()
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
