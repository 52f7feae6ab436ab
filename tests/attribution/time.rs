//! Order, lateness and clocks (DECISIONS 1 to 6).

use crate::harness::{App, Server, Value, device, json, now};

fn android(n: u64, usertime: i64) -> Value {
    json!({ "usertime": usertime, "origination_ip": format!("203.0.113.{n}"), "device_ua": device::PIXEL,
            "device_ids": { "adid": device::advertising_id(n) } })
}

#[tokio::test]
async fn a_click_after_the_install_does_not_count() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    app.install("SX-1", android(1, now() - 600)).await;
    link.click(&format!("adid={}&click_time={}", device::advertising_id(1), now() - 60)).await;
    assert_eq!(app.class("SX-1").await, "organic");
}

#[tokio::test]
async fn a_click_received_before_the_install_may_seem_a_little_later() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let link = app.link("Example Network").await;
    for (n, seconds, class) in [(1, 110, "device_id"), (2, 600, "organic")] {
        link.click(&format!("adid={}", device::advertising_id(n))).await;
        let device = format!("SX-{n}");
        app.install(&device, android(n, now() - seconds)).await;
        let decision = app.attribution(&device).await["decision"].clone();
        assert_eq!(decision["class"], class, "an install {seconds} s before its click: {decision}");
        if class == "device_id" {
            assert_eq!(decision["winner"]["age_seconds"], 0, "{decision}");
            assert!(decision.to_string().contains("clock_skew"), "{decision}");
        }
    }
}

#[tokio::test]
async fn a_late_click_inside_the_grace_makes_a_revision() {
    let server = Server::start().await;
    let app = server.app("Android").await;
    let (link, other) = (app.link("Example Network").await, app.link("Other Network").await);
    let adid = device::advertising_id(1);
    let hour_ago = |minutes: i64| format!("adid={adid}&click_time={}", now() - 3_600 + 60 * minutes);
    app.install("SX-1", android(1, now() - 10)).await;
    assert_eq!(app.class("SX-1").await, "organic");
    let late = link.click(&hour_ago(0)).await;
    let decision = app.attribution("SX-1").await["decision"].clone();
    assert_eq!(
        (&decision["winner"]["click_id"], &decision["revision"]),
        (&json!(late), &json!(1)),
        "{decision}"
    );
    let later = other.click(&hour_ago(5)).await;
    let decision = app.attribution("SX-1").await["decision"].clone();
    assert_eq!(
        (&decision["winner"]["click_id"], &decision["revision"]),
        (&json!(later), &json!(2)),
        "{decision}"
    );
    // One that changes nothing is no revision.
    link.click(&hour_ago(1)).await;
    let decision = app.attribution("SX-1").await["decision"].clone();
    assert_eq!(decision["winner"]["click_id"], json!(later), "{decision}");
    server.balanced().await;
}

/// A day of clicks and installs, as the numbers of clicks: who clicked what when.
struct Day {
    clicks: Vec<String>,
    installs: Vec<(String, Value)>,
}

impl Day {
    /// The winner of every install, told by what partners call the clicks, when all of it arrives so.
    async fn winners(
        &self,
        app: &App,
        links: &[crate::harness::Link],
        order: &[usize],
    ) -> Vec<(String, String)> {
        for &n in order {
            match self.clicks.get(n) {
                Some(query) => {
                    links[n % links.len()].click(query).await;
                }
                None => {
                    let (device, data) = &self.installs[n - self.clicks.len()];
                    app.install(device, data.clone()).await;
                }
            }
        }
        let mut winners = Vec::new();
        for (device, _) in &self.installs {
            let answer = app.attribution(device).await;
            let query = &answer["data"]["attribution"]["click"]["meta"]["original_request"];
            let query = query.as_str().unwrap_or_default();
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            let name = pairs.find(|(key, _)| key == "click_id").map(|(_, name)| name.into_owned());
            winners.push((answer["decision"]["class"].to_string(), name.unwrap_or_default()));
        }
        winners
    }
}

/// A fixed shuffle: the same for everybody, different for each seed.
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut order: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = usize::try_from(state % (at as u64 + 1)).unwrap();
        order.swap(at, other);
    }
    order
}

#[tokio::test]
async fn the_order_of_arrival_decides_nothing() {
    let noon = now() - 43_200;
    let ua = device::encoded(device::PIXEL);
    // Twelve devices; each click is by identifier, by address, or both, some at the very same time.
    let clicks = (0..48).map(|n: i64| {
        let device = (n * 7 % 12) + 1;
        let time = noon - (n * 977 % 36_000) / 1_800 * 1_800;
        let id = device::advertising_id(device.unsigned_abs());
        let whom = match n % 3 {
            0 => format!("adid={id}"),
            1 => format!("ip_address=203.0.113.{device}&device_ua={ua}"),
            _ => format!("adid={id}&ip_address=203.0.113.{device}&device_ua={ua}"),
        };
        format!("{whom}&click_id=p-{n}&site_id=s-{}&click_time={time}", n % 5)
    });
    let day = Day {
        clicks: clicks.collect(),
        installs: (1..=12_u64)
            .map(|n| (format!("SX-{n}"), android(n, noon - i64::try_from(n).unwrap() * 1_700)))
            .collect(),
    };
    let count = day.clicks.len() + day.installs.len();
    let mut orders: Vec<Vec<usize>> = vec![(0..count).collect(), (0..count).rev().collect()];
    orders.extend((1..=4).map(|seed| shuffled(count, seed)));
    let mut first = None;
    for order in orders {
        // A server of its own: the numbers of trackers and networks are part of what breaks ties.
        let server = Server::start().await;
        let app = server.app("Android").await;
        let links = [app.link("One").await, app.link("Two").await, app.link("Three").await];
        let winners = day.winners(&app, &links, &order).await;
        assert!(winners.iter().filter(|(_, name)| !name.is_empty()).count() > 6, "{winners:?}");
        server.balanced().await;
        match &first {
            None => first = Some(winners),
            Some(first) => assert_eq!(&winners, first, "arriving as {order:?}"),
        }
    }
}
