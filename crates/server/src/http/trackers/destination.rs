//! Where clicks may lead (tracking-and-attribution.md section 4).

use measure::catalogue::DestinationKind;

/// Schemes that run something in a browser or open local things.
const REFUSED_SCHEMES: [&str; 8] =
    ["javascript", "data", "vbscript", "file", "blob", "about", "filesystem", "view-source"];

/// The kind of destination that `destination_data.type` names; every other text is a plain URL.
pub fn kind(name: Option<&str>) -> DestinationKind {
    match name.map(|name| name.to_ascii_lowercase().replace(' ', "_")).as_deref() {
        Some("google_referrer") => DestinationKind::GoogleReferrer,
        Some("landing_page") => DestinationKind::LandingPage,
        _ => DestinationKind::Custom,
    }
}

/// Refuses what a click must not lead to. The scheme, and the host of an http(s) URL, stand as they are: no
/// placeholder may choose where people are sent.
pub fn check(url: &str) -> Result<(), &'static str> {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    let Some(scheme) = scheme.filter(|scheme| is_scheme(scheme)) else {
        return Err("must begin with https://, http://, market: or the scheme of an app");
    };
    if REFUSED_SCHEMES.contains(&scheme.as_str()) {
        return Err("this scheme is not allowed; use https, http, market or the scheme of an app");
    }
    if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("must not hold spaces or line breaks; write %20");
    }
    if !matches!(scheme.as_str(), "http" | "https") {
        return Ok(());
    }
    let rest = url.get(scheme.len() + 1..).unwrap_or_default();
    let Some(rest) = rest.strip_prefix("//") else { return Err("write // after the scheme") };
    let host = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    if host.contains(['{', '}', '@']) {
        return Err("the host must stand as it is, without placeholders or a user name");
    }
    url::Url::parse(&format!("{scheme}://{host}/")).map(|_| ()).map_err(|_| "the host is not valid")
}
