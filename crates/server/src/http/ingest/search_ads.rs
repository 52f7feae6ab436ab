//! Installs that carry an AdServices token: Apple is asked what it stands for before the install is put on
//! record, so that the record holds the answer (`attribution.resolve_adservices_token`).

use courier::AdServices;
use engine::Submission;
use measure::{event::Value, flag::Flag, input::Payload, install::Install};
use tokio::task::JoinSet;
use wire::s2s::adservices_answer;

use super::s2s::{Prepared, Step};

/// Where the device puts its token (ingest.md section 10).
const TOKEN: &str = "ad_services_token";
/// Where a sender puts the answer that it got itself.
const ANSWERS: [&str; 2] = ["adservices_attribution_details", "iad_attribution_details"];

/// Asks about the tokens of all installs at once, and writes the answers into them. An install without an
/// answer stays as it is, flagged.
pub(super) async fn resolve(apple: &AdServices, prepared: &mut [Prepared]) {
    let mut asked = JoinSet::new();
    for (place, Prepared { step, .. }) in prepared.iter().enumerate() {
        let Step::Take { submission: Submission::Input(input, _), .. } = step else { continue };
        let Payload::Install(install) = &input.payload else { continue };
        let Some(token) = open_token(install) else { continue };
        let (apple, token) = (apple.clone(), token.to_owned());
        asked.spawn(async move { (place, apple.ask(&token).await) });
    }
    while let Some(answered) = asked.join_next().await {
        let Ok((place, answer)) = answered else { continue };
        let Some(Prepared { step: Step::Take { submission: Submission::Input(input, _), .. }, .. }) =
            prepared.get_mut(place)
        else {
            continue;
        };
        let Payload::Install(install) = &mut input.payload else { continue };
        match answer.map(|text| adservices_answer(&text)) {
            Some(Ok(search_ads)) => {
                if search_ads.as_ref().is_some_and(|ads| ads.click_time.is_none()) {
                    input.flags.insert(Flag::DateManufactured);
                }
                install.search_ads = search_ads.map(Box::new);
            }
            None | Some(Err(_)) => {
                input.flags.insert(Flag::AsaUnresolved);
            }
        }
    }
}

/// The token of an install, unless its sender has resolved it.
fn open_token(install: &Install) -> Option<&str> {
    let answered = |name: &&str| install.params.iter().any(|(key, _)| key == name);
    if install.search_ads.is_some() || ANSWERS.iter().any(answered) {
        return None;
    }
    install.params.iter().find_map(|(key, value)| match value {
        Value::Text(token) if key == TOKEN => Some(token.trim()),
        _ => None,
    })
}
