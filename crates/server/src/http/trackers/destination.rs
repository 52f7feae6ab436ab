//! What a click leads to, by its name (tracking-and-attribution.md section 4).

use measure::catalogue::DestinationKind;
use wire::link::check_destination;

use crate::error::Error;

/// The kind of destination that `destination_data.type` names; every other text is a plain URL.
pub fn kind(name: Option<&str>) -> DestinationKind {
    match name.map(|name| name.to_ascii_lowercase().replace(' ', "_")).as_deref() {
        Some("google_referrer") => DestinationKind::GoogleReferrer,
        Some("landing_page") => DestinationKind::LandingPage,
        _ => DestinationKind::Custom,
    }
}

/// Refuses what a click cannot lead to, in an app with these schemes of its own.
pub fn check(field: &str, url: &str, schemes: &[String]) -> Result<(), Error> {
    let valid = check_destination(url, schemes).and_then(|()| {
        let is_web = url.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("http"));
        // Placeholders of the path are no part of the host.
        let host = url.split('/').take(3).collect::<Vec<_>>().join("/");
        let host = host.split(['?', '#']).next().unwrap_or_default();
        if is_web && url::Url::parse(host).is_err() {
            Err("the host is not valid".to_owned())
        } else {
            Ok(())
        }
    });
    valid.map_err(|text| Error::BadRequest(format!("{field}: {text}")))
}
