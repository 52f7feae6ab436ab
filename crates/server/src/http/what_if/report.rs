//! What a what-if found, as answers show it.

use std::collections::BTreeSet;

use engine::{Altered, Count, Report};
use measure::{
    CampaignId, NetworkId,
    attribution::{Candidate, LosingReason, gain, loss},
    catalogue::{APPLE_SEARCH_ADS, Catalogue},
};
use serde_json::{Value, json};

use super::super::record::iso;

/// The comparison, without the list of installs.
#[must_use]
pub fn summary(catalogue: &Catalogue, found: &Report) -> Value {
    let Report { before, after, .. } = found;
    let networks: BTreeSet<_> = before.networks.keys().chain(after.networks.keys()).collect();
    let networks = networks.into_iter().map(|id| {
        let (was, is) = (count(before.networks.get(id)), count(after.networks.get(id)));
        json!({
            "network_id": id.map(|id| id.to_string()),
            "network": id.map_or_else(|| "organic".to_owned(), |id| network(catalogue, id)),
            "before": was, "after": is, "difference": is - was,
        })
    });
    let campaigns: BTreeSet<_> = before.campaigns.keys().chain(after.campaigns.keys()).collect();
    let campaigns = campaigns.into_iter().map(|id| {
        let (was, is) = (count(before.campaigns.get(id)), count(after.campaigns.get(id)));
        json!({
            "campaign_id": id.map(|id| id.to_string()), "campaign": id.map(|id| campaign(catalogue, id)),
            "before": was, "after": is, "difference": is - was,
        })
    });
    let classes: BTreeSet<_> = before.classes.keys().chain(after.classes.keys()).collect();
    let classes = classes.into_iter().map(|class| {
        let (was, is) = (count(before.classes.get(class)), count(after.classes.get(class)));
        json!({ "class": class, "before": was, "after": is, "difference": is - was })
    });
    json!({
        "from": iso(found.from),
        "to": iso(found.until),
        "installs": found.installs,
        "changed": found.altered,
        "networks": networks.collect::<Vec<_>>(),
        "campaigns": campaigns.collect::<Vec<_>>(),
        "classes": classes.collect::<Vec<_>>(),
        "how_sure": { "before": sure(before.sure), "after": sure(after.sure) },
        "facts_read": found.facts,
        "engagements_held": found.kept,
    })
}

fn count(found: Option<&u64>) -> i64 {
    i64::try_from(found.copied().unwrap_or_default()).unwrap_or(i64::MAX)
}

fn sure(count: Count) -> Value {
    json!({
        "certain": count.certain, "likely": count.likely, "ambiguous": count.ambiguous,
        "shared_click": count.shared, "organic": count.organic,
    })
}

fn network(catalogue: &Catalogue, id: NetworkId) -> String {
    let known = catalogue.network(id).map(|network| network.name.clone());
    known.unwrap_or_else(|| match id {
        APPLE_SEARCH_ADS => "Apple Search Ads".to_owned(),
        id => format!("network {id}"),
    })
}

fn campaign(catalogue: &Catalogue, id: CampaignId) -> String {
    catalogue.campaign(id).map_or_else(|| format!("campaign {id}"), |campaign| campaign.name.clone())
}

/// An install that changes. `lost_before` is why the new winner has not won so far.
#[must_use]
pub fn change(catalogue: &Catalogue, row: &Altered, lost_before: Option<LosingReason>) -> Value {
    let winner = row.winner.as_ref();
    json!({
        "install_id": row.install.to_string(),
        "install_time": iso(row.installed),
        "before": {
            "class": row.was_class,
            "network_id": row.was_network.map(|id| id.to_string()),
            "network": row.was_network.map(|id| network(catalogue, id)),
            "campaign_id": row.was_campaign.map(|id| id.to_string()),
            "click_id": row.was.map(|touch| touch.to_string()),
            "ambiguous": row.was_ambiguous,
        },
        "after": {
            "class": row.class,
            "network_id": winner.map(|winner| winner.network.to_string()),
            "network": winner.map(|winner| network(catalogue, winner.network)),
            "campaign_id": winner.and_then(|winner| winner.campaign).map(|id| id.to_string()),
            "click_id": winner.and_then(|winner| winner.touch).map(|touch| touch.to_string()),
            "ambiguous": row.ambiguous,
        },
        "lost": row.former.as_ref().and_then(|former| former.lost).map(LosingReason::name),
        "lost_before": lost_before.map(LosingReason::name),
        "why": why(catalogue, row, lost_before),
    })
}

/// Why an install changes, in words.
fn why(catalogue: &Catalogue, row: &Altered, lost_before: Option<LosingReason>) -> String {
    let was = match (&row.former, row.was_network) {
        (_, None) => "It was organic.".to_owned(),
        (Some(former @ Candidate { lost: Some(reason), .. }), _) => {
            format!("No longer credited: {}.", loss(former, *reason, row.winner.as_ref(), catalogue))
        }
        (Some(_), _) => "The same engagement would be credited on other grounds.".to_owned(),
        (None, _) => "What it was credited to would not be looked at any more.".to_owned(),
    };
    let so_far = lost_before.map(|reason| format!(" So far it lost ({reason}).")).unwrap_or_default();
    match &row.winner {
        Some(winner) => format!("{was} It would be credited to {}.{so_far}", gain(winner, catalogue)),
        None => format!("{was} It would be organic."),
    }
}
