use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn drawn(seed: u64, people: usize) -> City {
    let plan = Plan { seed, people, from: 1_760_000_000_000, flood: 4 };
    let names = Names {
        tracker: &|platform, network| format!("{}-{network}", platform.name()),
        app: &|platform| platform.name().to_owned(),
        click: &|received, mark| format!("clk-{received}-{mark}"),
    };
    city(&plan, &names)
}

fn query(call: &Call) -> &str {
    match &call.what {
        What::Click(query) | What::View(query) => query,
        What::Install(_) => "",
    }
}

#[test]
fn a_town_without_fraud_has_no_fraud() {
    let made_up = |flood| {
        let plan = Plan { seed: 1, people: 1_000, from: 1_760_000_000_000, flood };
        let names = Names {
            tracker: &|_, network| network.to_string(),
            app: &|platform| platform.name().to_owned(),
            click: &|_, mark| mark.to_string(),
        };
        let city = city(&plan, &names);
        let fake = city.installs.iter().filter(|install| install.cause == Cause::Fake).count();
        let by = |mark: &&Mark| mark.network.is_some_and(|network| !NETWORKS[network].honest);
        (fake, city.marks.iter().filter(by).count())
    };
    assert_eq!(made_up(0), (0, 0));
    let (fake, clicks) = made_up(1);
    assert!(fake > 0 && clicks > 1_000, "{fake} {clicks}");
}

#[test]
fn the_same_plan_gives_the_same_town() {
    assert_eq!(drawn(7, 300), drawn(7, 300));
    assert_ne!(drawn(7, 300), drawn(8, 300));
}

#[test]
fn every_cause_is_a_call_of_an_honest_network_before_the_install() {
    let city = drawn(1, 8_000);
    let first: BTreeMap<u64, &Call> =
        city.calls.iter().filter(|call| !call.again).map(|call| (call.mark, call)).collect();
    let mut traces = BTreeSet::new();
    for install in &city.installs {
        let Cause::Ad { mark, trace } = install.cause else { continue };
        traces.insert(trace);
        if trace == Trace::SearchAds {
            assert!(!first.contains_key(&mark), "Apple's ads are no call of ours");
            continue;
        }
        assert!(city.marks[mark as usize].network.is_some_and(|network| NETWORKS[network].honest));
        let person = |mark: u64| city.marks[mark as usize].person;
        assert_eq!(person(mark), person(install.mark));
        let click = first[&mark];
        let view = matches!(click.what, What::View(_));
        assert_eq!(view, matches!(trace, Trace::ViewIdentifier | Trace::ViewGuess));
    }
    assert_eq!(traces, Trace::ALL.into_iter().collect(), "every kind of trace occurs");
}

#[test]
fn an_identifier_is_on_the_link_only_where_the_trace_says_so() {
    let city = drawn(2, 8_000);
    let installs: BTreeMap<u64, &str> = city
        .calls
        .iter()
        .filter_map(|call| match &call.what {
            What::Install(body) => Some((call.mark, body.as_str())),
            _ => None,
        })
        .collect();
    let links: BTreeMap<u64, &str> = city.calls.iter().map(|call| (call.mark, query(call))).collect();
    for install in &city.installs {
        let Cause::Ad { mark, trace } = install.cause else { continue };
        let body: serde_json::Value = serde_json::from_str(installs[&install.mark]).unwrap();
        let ids = &body["data"]["device_ids"];
        let told = ids.get("idfa").is_some() || ids.get("adid").is_some();
        let link = links.get(&mark).copied().unwrap_or_default();
        let carried = link.contains("adid=") || link.contains("idfa=") || link.contains("device_id=");
        let common = matches!(trace, Trace::Identifier | Trace::ViewIdentifier);
        assert_eq!(common, told && carried && trace != Trace::SearchAds, "{trace:?}: {link}");
        assert_eq!(trace == Trace::Referrer, body["data"].get("install_referrer").is_some());
        assert_eq!(trace == Trace::SearchAds, body["data"].get("adservices_attribution_details").is_some());
    }
}

#[test]
fn only_ranges_that_nobody_has_occur() {
    for call in &drawn(3, 500).calls {
        let text = match &call.what {
            What::Click(query) | What::View(query) => query.clone(),
            What::Install(body) => body.clone(),
        };
        let v4 = text.contains("=198.18.") || text.contains("=198.19.") || text.contains("\"198.1");
        let v6 = text.contains("2001%3Adb8%3A") || text.contains("\"2001:db8:");
        assert!(v4 || v6, "{text}");
    }
}

#[test]
fn calls_come_in_order_and_some_twice_and_some_late() {
    let city = drawn(4, 4_000);
    assert!(city.calls.is_sorted_by_key(|call| call.received));
    assert!(city.calls.iter().any(|call| call.again));
    let late = city.calls.iter().filter(|call| {
        let time = query(call).split('&').find_map(|pair| pair.strip_prefix("click_time="));
        time.and_then(|time| time.parse::<i64>().ok()).is_some_and(|time| call.received - time > MINUTE)
    });
    assert!(late.count() > 0);
}

/// The people who have had each address on one day, by the place of that on the list of the most shared ones; and
/// the addresses that one of them has had.
#[test]
fn thousands_share_an_address_of_a_carrier_and_none_keeps_one() {
    let mut rng = StdRng::seed_from_u64(5);
    let places = Places::draw(20_000, &mut rng);
    let mut people: BTreeMap<std::net::IpAddr, BTreeSet<u32>> = BTreeMap::new();
    let mut addresses: BTreeMap<u32, BTreeSet<std::net::IpAddr>> = BTreeMap::new();
    for home in places.phones(&mut rng) {
        let phone = Phone::draw(home, 0, DAY, &mut rng);
        for hour in 0..24 {
            let address = places.address(&phone, hour * HOUR);
            people.entry(address).or_default().insert(home.person);
            addresses.entry(home.person).or_default().insert(address);
        }
    }
    let mut crowds: Vec<usize> = people.values().map(BTreeSet::len).collect();
    crowds.sort_unstable();
    crowds.reverse();
    assert!(
        crowds[..4].iter().all(|crowd| *crowd > 3_000),
        "two addresses of each carrier: {:?}",
        &crowds[..6]
    );
    assert!(crowds[4] < 100, "then come offices: {:?}", &crowds[..6]);
    let changing = addresses.values().filter(|of_one| of_one.len() > 2).count();
    assert!(changing > 10_000, "{changing}");
}

#[test]
fn addresses_are_shared_and_change() {
    let city = drawn(5, 12_000);
    let mut people: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for call in &city.calls {
        if let What::Install(body) = &call.what {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let address = body["data"]["origination_ip"].as_str().unwrap().to_owned();
            people.entry(address).or_default().insert(body["kochava_device_id"].to_string());
        }
    }
    assert!(people.values().any(|people| people.len() > 5), "an office or a carrier");
    assert!(people.values().any(|people| people.len() == 1));
}
