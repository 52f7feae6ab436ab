//! Where installs and engagements meet, and what of the winner goes on.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::world::{ADID, HERE, INSTALLED, World, identifier, ip};
use crate::{
    CampaignId, NetworkId, SegmentId, TouchId, TrackerId,
    attribution::{horizon, match_keys, source},
    consent::Att,
    engagement::{Engagement, EngagementKind, MatchKey},
    identifier::{DigestLength, Fingerprint},
    install::SearchAds,
    platform::{Os, Traits},
    policy::Addresses,
    policy::Policy,
};

/// How many keys of each sort an install has: identifiers, digests, clicks, modeled.
fn sorts(case: &str, lengths: &[DigestLength]) -> [usize; 4] {
    let keys = match_keys(
        &World::parse(case).record.install,
        &lengths.iter().copied().collect(),
        Addresses::default(),
    );
    let count = |is: fn(&MatchKey) -> bool| keys.iter().filter(|key| is(key)).count();
    [
        count(|key| matches!(key, MatchKey::Identifier(_))),
        count(|key| matches!(key, MatchKey::Digest(_))),
        count(|key| matches!(key, MatchKey::Click(_))),
        count(|key| matches!(key, MatchKey::Modeled(..))),
    ]
}

#[test]
fn an_install_asks_only_for_forms_that_were_seen() {
    use DigestLength::{Md5, Sha1, Sha256};
    assert_eq!(sorts("", &[]), [1, 0, 0, 1]);
    assert_eq!(sorts("", &[Md5]), [1, 12, 0, 1]);
    assert_eq!(sorts("", &[Md5, Sha1, Sha256]), [1, 28, 0, 1]);
    assert_eq!(sorts("install id=idfv:a1b2", &[Sha256]), [2, 6, 0, 1]);
}

#[test]
fn what_an_install_does_not_tell_is_no_key() {
    assert_eq!(sorts("install no_id ip=", &[DigestLength::Md5]), [0, 0, 0, 0]);
    assert_eq!(sorts("install os=", &[]), [1, 0, 0, 0]);
    assert_eq!(sorts("1 referrer a", &[]), [1, 0, 1, 1]);
}

#[test]
fn the_keys_are_those_of_the_values() {
    let keys: BTreeSet<MatchKey> =
        match_keys(&World::parse("1 landing a").record.install, &BTreeSet::new(), Addresses::default())
            .into_iter()
            .collect();
    let expected = BTreeSet::from([
        MatchKey::Identifier(Fingerprint::from(&identifier("adid", ADID))),
        MatchKey::Click(TouchId(Uuid::from_u128(1))),
        MatchKey::Modeled(ip(HERE).expect("an address"), Os::Android),
    ]);
    assert_eq!(keys, expected);
}

#[test]
fn one_value_under_two_kinds_makes_each_digest_one_key() {
    assert_eq!(sorts(&format!("install id=custom:{ADID}"), &[DigestLength::Md5]), [2, 12, 0, 1]);
}

#[test]
fn the_horizon_is_the_install_and_the_clock_skew() {
    let record = World::new().record;
    let at = |clock_skew_ms| horizon(record.install.time, &Policy { clock_skew_ms, ..Policy::default() });
    assert_eq!(at(120_000), INSTALLED.plus(120_000));
    assert_eq!(at(0), INSTALLED);
    assert_eq!(at(-5), INSTALLED, "what happened before the install is never beyond it");
}

fn engagement() -> Engagement {
    Engagement {
        kind: EngagementKind::Click,
        time: INSTALLED.plus(-3_600_000),
        tracker: TrackerId(100),
        network: NetworkId(10),
        campaign: CampaignId(5),
        segment: SegmentId(6),
        identifiers: Vec::new(),
        ip: None,
        user_agent: None,
        traits: Traits::default(),
        att: Att::default(),
        click_id: Some("c-1".to_owned()),
        site_id: Some("s-1".to_owned()),
        sub_site_id: Some("s-2".to_owned()),
        creative_id: Some("k-1".to_owned()),
        params: vec![("cp_0".to_owned(), "x".to_owned())],
        query: "click_id=c-1&cp_0=x".to_owned(),
        place: crate::place::Place::default(),
        ip_of_caller: false,
    }
}

#[test]
fn a_source_is_the_winner_with_its_link() {
    let decision = World::parse("1 device a").decide();
    let winner = decision.winner().expect("a winner");
    let found = source(winner, Some(&engagement()), Some(&SearchAds::default()));
    assert_eq!((found.touch, found.class.as_str()), (winner.touch, "device_id"));
    assert_eq!((found.network, found.tracker), (NetworkId(10), Some(TrackerId(100))));
    assert_eq!((found.campaign, found.segment), (Some(CampaignId(5)), Some(SegmentId(6))));
    assert_eq!((found.kind, found.time), (EngagementKind::Click, INSTALLED.plus(-3_600_000)));
    assert_eq!(found.click_id.as_deref(), Some("c-1"));
    assert_eq!((found.site_id.as_deref(), found.sub_site_id.as_deref()), (Some("s-1"), Some("s-2")));
    assert_eq!(found.creative_id.as_deref(), Some("k-1"));
    assert_eq!((found.params, found.query), (engagement().params, engagement().query));
}

#[test]
fn apples_word_brings_its_own_parameters() {
    let decision = World::parse("asa 1").decide();
    let ads = SearchAds {
        campaign_id: Some("542370539".to_owned()),
        creative_set_id: Some("7".to_owned()),
        ..SearchAds::default()
    };
    let found = source(decision.winner().expect("a winner"), None, Some(&ads));
    assert_eq!((found.touch, found.tracker, found.class.as_str()), (None, None, "asa"));
    assert_eq!(found.creative_id.as_deref(), Some("7"));
    let expected = [("asa_campaign_id", "542370539"), ("asa_creative_set_id", "7")];
    assert_eq!(found.params, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
}
