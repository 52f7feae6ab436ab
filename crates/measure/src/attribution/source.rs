//! The winner as events inherit it and postbacks render it.

use crate::{
    attribution::{Candidate, Source},
    claim::Claim,
    engagement::Engagement,
    install::SearchAds,
};

/// The winning candidate as events inherit it. `engagement` is the full engagement of the winning touch;
/// `search_ads` is what the install says of Apple Search Ads, used when the winner is Apple's word: its
/// creative set is the creative, everything else is a parameter `asa_…`.
#[must_use]
pub fn source(winner: &Candidate, engagement: Option<&Engagement>, search_ads: Option<&SearchAds>) -> Source {
    let bare = bare(winner);
    match (winner.touch, engagement, search_ads) {
        (Some(_), Some(engagement), _) => Source {
            click_id: engagement.click_id.clone(),
            site_id: engagement.site_id.clone(),
            sub_site_id: engagement.sub_site_id.clone(),
            creative_id: engagement.creative_id.clone(),
            params: engagement.params.clone(),
            query: engagement.query.clone(),
            ..bare
        },
        (None, _, Some(ads)) => {
            Source { creative_id: ads.creative_set_id.clone(), params: search_ads_params(ads), ..bare }
        }
        _ => bare,
    }
}

/// The winning candidate as events inherit it, when it is a claim. The network's names of campaign and ad
/// are parameters.
#[must_use]
pub fn claimed_source(winner: &Candidate, claim: &Claim) -> Source {
    let number = claim.claim_id.iter().map(|id| ("claim_id".to_owned(), id.clone()));
    Source {
        site_id: claim.site_id.clone(),
        creative_id: claim.creative_id.clone(),
        params: number.chain(claim.params.iter().cloned()).collect(),
        ..bare(winner)
    }
}

fn bare(winner: &Candidate) -> Source {
    Source {
        touch: winner.touch,
        kind: winner.kind,
        class: winner.basis.class().to_owned(),
        time: winner.time,
        network: winner.network,
        campaign: winner.campaign,
        segment: winner.segment,
        tracker: winner.tracker,
        click_id: None,
        site_id: None,
        sub_site_id: None,
        creative_id: None,
        params: Vec::new(),
        query: String::new(),
        reengagement: false,
    }
}

fn search_ads_params(ads: &SearchAds) -> Vec<(String, String)> {
    [
        ("asa_campaign_id", &ads.campaign_id),
        ("asa_campaign_name", &ads.campaign_name),
        ("asa_ad_group_id", &ads.ad_group_id),
        ("asa_keyword_id", &ads.keyword_id),
        ("asa_keyword", &ads.keyword),
        ("asa_creative_set_id", &ads.creative_set_id),
        ("asa_conversion_type", &ads.conversion_type),
        ("asa_country", &ads.country),
    ]
    .into_iter()
    .filter_map(|(key, value)| value.clone().map(|value| (key.to_owned(), value)))
    .collect()
}
