use super::*;
use crate::{
    InputId, SegmentId, TrackerId, consent::Att, flag::Flags, input::Input, install::Install,
    platform::Traits,
};

const APP: AppId = AppId(1);
const DAY: i64 = 20_000;

fn params(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn fact(payload: Payload, outcomes: Vec<Outcome>) -> Fact {
    let input = Input {
        id: InputId(uuid::Uuid::from_u128(1)),
        received: Timestamp(DAY * DAY_MS + 5),
        app: APP,
        catalogue: 1,
        key: None,
        body_hash: [0; 16],
        body: String::new(),
        flags: Flags::new(),
        payload,
        via: crate::source::Via::default(),
    };
    Fact { sequence: 1, input, outcomes }
}

fn engagement(kind: EngagementKind, campaign: u64, query: &str, duplicate: bool) -> Fact {
    let payload = Payload::Engagement(Engagement {
        kind,
        time: Timestamp(0),
        tracker: TrackerId(1),
        network: NetworkId(77),
        campaign: CampaignId(campaign),
        segment: SegmentId(1),
        identifiers: vec![],
        ip: None,
        user_agent: None,
        traits: Traits::default(),
        att: Att::default(),
        click_id: None,
        site_id: None,
        sub_site_id: None,
        creative_id: params(query).into_iter().find(|(key, _)| key == "creative_id").map(|(_, value)| value),
        params: params(query),
        query: String::new(),
        place: crate::place::Place::default(),
        ip_of_caller: false,
    });
    fact(payload, vec![Outcome::Touched { duplicate, suppressed: vec![], findings: vec![] }])
}

fn source(network: u64, campaign: u64, query: &str) -> Source {
    Source {
        touch: None,
        kind: EngagementKind::Click,
        class: "device_id".to_owned(),
        time: Timestamp(0),
        network: NetworkId(network),
        campaign: Some(CampaignId(campaign)),
        segment: None,
        tracker: None,
        click_id: None,
        site_id: None,
        sub_site_id: None,
        creative_id: None,
        params: params(query),
        query: String::new(),
        reengagement: false,
    }
}

fn decided(install: u128, revision: Option<u32>, source: Option<Source>) -> Fact {
    let install = InstallId(uuid::Uuid::from_u128(install));
    let outcome = match revision {
        None => Outcome::Installed { install, source, suppressed: vec![], reprocess_for: None },
        Some(revision) => Outcome::Redecided { install, revision, source, suppressed: vec![] },
    };
    fact(Payload::Install(Install::default()), vec![outcome])
}

/// `campaign links uploaded` of every place.
fn check(costs: &Costs, expected: &[&str]) {
    let shown = |(place, sum): (Place, Sum)| {
        let campaign = place.campaign.map_or_else(|| "-".to_owned(), |campaign| campaign.to_string());
        format!("{campaign} {} {}", sum.links.normalize(), sum.uploaded.normalize())
    };
    assert_eq!(costs.sums().into_iter().map(shown).collect::<Vec<_>>(), expected);
}

#[test]
fn what_a_link_says_about_its_price() {
    let check = |query: &str, expected: Option<(Bid, &str)>| {
        let expected = expected.map(|(kind, amount)| (kind, amount.parse().unwrap()));
        assert_eq!(bid(&params(query)), expected, "{query}");
    };
    check("bid_type=CPI&bid_won=1.50", Some((Bid::Install, "1.50")));
    check("bid_type=cpc&bid_won=0.031", Some((Bid::Click, "0.031")));
    check("bid_type=CPM&bid_won=4", Some((Bid::Mille, "4")));
    check("bid_type=CPA&bid_won=4", Some((Bid::Action, "4")));
    check("bid_type=CPI", None);
    check("bid_won=1", None);
    check("bid_type=CPX&bid_won=1", None);
    check("bid_type=CPI&bid_won=-1", None);
    check("bid_type=CPI&bid_won={bid}", None);
    check("bid_type=CPI&bid_won=1&bid_won=2", Some((Bid::Install, "2")));
}

#[test]
fn clicks_and_impressions_cost_what_their_links_say() {
    use EngagementKind::{Click, Impression};
    let mut costs = Costs::default();
    for fact in [
        engagement(Click, 1, "bid_type=CPC&bid_won=0.1", false),
        engagement(Click, 1, "bid_type=CPC&bid_won=0.2", false),
        engagement(Click, 1, "bid_type=CPC&bid_won=0.2", true),
        engagement(Click, 1, "bid_type=CPI&bid_won=9", false),
        engagement(Impression, 1, "bid_type=CPC&bid_won=9", false),
        engagement(Impression, 2, "bid_type=CPM&bid_won=1.5", false),
        engagement(Click, 2, "bid_type=CPM&bid_won=1.5", false),
        engagement(Click, 2, "bid_type=CPA&bid_won=1.5", false),
    ] {
        costs.take(&fact);
    }
    // Never a binary float: 0.1 and 0.2 are 0.3.
    check(&costs, &["1 0.3 0", "2 0.0015 0"]);
}

#[test]
fn an_install_costs_what_its_winner_says() {
    let mut costs = Costs::default();
    let paid = |network, campaign, amount: &str| {
        Some(source(network, campaign, &format!("bid_type=CPI&bid_won={amount}")))
    };
    costs.take(&decided(1, None, paid(77, 1, "1.5")));
    costs.take(&decided(2, None, paid(77, 1, "2")));
    costs.take(&decided(3, None, None));
    costs.take(&decided(4, None, Some(source(77, 1, "bid_type=CPC&bid_won=5"))));
    check(&costs, &["1 3.5 0"]);
    // Decided again: the new winner's price, or none.
    costs.take(&decided(1, Some(1), paid(78, 2, "4")));
    costs.take(&decided(2, Some(1), None));
    check(&costs, &["2 4 0"]);
}

#[test]
fn uploads_are_joined_as_links_call_the_campaign() {
    use EngagementKind::Click;
    let mut costs = Costs::default();
    costs.take(&engagement(
        Click,
        1,
        "partner_campaign_id=p-1&partner_campaign_name=Spring&creative_id=c-1",
        false,
    ));
    costs.take(&engagement(Click, 2, "partner_campaign_id=p-2&partner_campaign_name=Fall", true));
    let row = |id: &str, name: &str, creative: &str| {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        CostRow {
            partner_campaign_id: some(id),
            partner_campaign_name: some(name),
            creative_id: some(creative),
            amount: Decimal::ONE,
        }
    };
    let upload = |network, rows| CostDay {
        app: APP,
        day: DAY,
        network: NetworkId(network),
        uploaded: Timestamp(0),
        rows,
    };
    let named = |name: &str| (name == "Ours").then_some(CampaignId(3));
    let rows = vec![
        row("p-1", "Fall", "c-9"),
        row("p-9", "Fall", "c-1"),
        row("", "", "c-1"),
        row("p-9", "Ours", ""),
        row("p-9", "Nobody's", ""),
        row("", "", ""),
    ];
    costs.add(&upload(77, rows), named);
    check(&costs, &["- 0 2", "1 0 2", "2 0 1", "3 0 1"]);
    // Another network's names are its own.
    costs.add(&upload(78, vec![row("p-1", "", "")]), named);
    check(&costs, &["- 0 2", "1 0 2", "2 0 1", "3 0 1", "- 0 1"]);
}
