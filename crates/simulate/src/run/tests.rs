use std::sync::Mutex as Lock;

use axum::{
    Router,
    extract::{Request as HttpRequest, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::*;
use crate::{
    account::{App, Network, Tracker},
    device::Platform,
    generate::{Plan, scenario},
};

/// A server that answers as documented, or as told, and remembers what it was asked.
#[derive(Clone, Default)]
struct Stub {
    seen: Arc<Lock<Vec<String>>>,
    /// Every first sending is answered 429.
    shy: bool,
    /// Installs are answered 400.
    refuses_installs: bool,
}

impl Stub {
    async fn start(self) -> (Target, Arc<Lock<Vec<String>>>) {
        let seen = Arc::clone(&self.seen);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(self);
        tokio::spawn(async move { axum::serve(listener, router).await });
        (Target::new(&url, "key").unwrap(), seen)
    }
}

async fn answer(State(stub): State<Stub>, request: HttpRequest) -> Response {
    let uri = request.uri().to_string();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let told = format!("{uri} {}", String::from_utf8(body.to_vec()).unwrap());
    let number = {
        let mut seen = stub.seen.lock().unwrap();
        if stub.shy && seen.last() != Some(&told) {
            seen.push(told);
            return (StatusCode::TOO_MANY_REQUESTS, [("Retry-After", "0")]).into_response();
        }
        if stub.refuses_installs && told.contains("\"action\":\"install\"") {
            return (StatusCode::BAD_REQUEST, "no").into_response();
        }
        seen.push(told);
        seen.len()
    };
    let input = [("Sextant-Input", format!("in_{number}"))];
    if uri.starts_with("/v1/cpi/click") && !uri.contains("pbr=1") {
        let store = "https://play.google.com/store/apps/details?id=x&referrer=utm_source%3D";
        return (StatusCode::FOUND, input, [("Location", format!("{store}clk_{number}"))]).into_response();
    }
    (input, "{\"success\":\"1\"}").into_response()
}

fn account() -> Account {
    let app = |platform: Platform| App { platform, id: 1, guid: format!("ko{}", platform.name()) };
    let trackers = Platform::ALL.into_iter().flat_map(|platform| {
        (0..3).map(move |network| Tracker { platform, network, guid: format!("t{network}") })
    });
    Account {
        apps: Platform::ALL.map(app),
        networks: (1..4).map(|id| Network { id, name: String::new() }).collect(),
        trackers: trackers.collect(),
        triggers: Vec::new(),
    }
}

async fn ran(stub: Stub, people: usize, limits: Limits) -> (Traffic, Vec<String>, Arc<Scenario>, usize) {
    let (target, seen) = stub.start().await;
    let scenario = Arc::new(scenario(&Plan { seed: 3, people, until: 1_790_000_000 }));
    let mut last = 0;
    let traffic = run(Arc::clone(&scenario), &account(), &target, limits, |done| last = done).await.unwrap();
    let seen = seen.lock().unwrap().clone();
    (traffic, seen, scenario, last)
}

#[tokio::test]
async fn everything_is_sent_once_and_each_person_in_order() {
    let (traffic, seen, scenario, progress) = ran(Stub::default(), 60, Limits::default()).await;
    assert_eq!(traffic.failures, []);
    assert_eq!(seen.len(), scenario.requests());
    assert_eq!(progress, scenario.requests());
    let inputs: std::collections::HashSet<_> = traffic.sent.iter().flat_map(|sent| &sent.inputs).collect();
    assert_eq!(inputs.len(), scenario.requests());
    for (index, person) in scenario.people.iter().enumerate() {
        let order: Vec<usize> =
            traffic.sent.iter().filter(|sent| sent.person == index).map(|sent| sent.step).collect();
        assert_eq!(order, (0..person.steps.len()).collect::<Vec<_>>());
    }
}

#[test]
fn no_request_goes_before_its_turn() {
    let check = |number: u32, rate: f64, us: u64| {
        assert_eq!(due(number, rate), Duration::from_micros(us), "{number} at {rate}");
    };
    check(0, 400.0, 0);
    check(1, 400.0, 2_500);
    check(400, 400.0, 1_000_000);
    check(4_000, 400.0, 10_000_000);
    check(1, 0.5, 2_000_000);
    check(3, 1_000_000.0, 3);
    for (count, rate) in [(5_u32, 1.0), (1_000, 37.0), (100_000, 400.0)] {
        // However many have gone by a moment, they are not more than the rate gives until then, and the first.
        let until = due(count, rate).as_secs_f64();
        assert!(f64::from(count) <= until * rate + 1.0, "{count} within {until} s at {rate}");
    }
    assert_eq!(due(u32::MAX, f64::MIN_POSITIVE), Duration::MAX);
}

#[tokio::test]
async fn requests_wait_for_their_turns() {
    let rate = 2_000.0;
    let (traffic, seen, ..) = ran(Stub::default(), 30, Limits { concurrency: 8, rate: Some(rate) }).await;
    let last = u32::try_from(seen.len() - 1).unwrap();
    assert!(traffic.took >= due(last, rate), "{} requests in {:?}", seen.len(), traffic.took);
}

#[tokio::test]
async fn a_phone_hands_the_click_id_of_its_redirect_to_the_app() {
    let (traffic, seen, scenario, _) = ran(Stub::default(), 60, Limits::default()).await;
    let mut told = 0;
    for (index, person) in scenario.people.iter().enumerate() {
        if person.truth.expected() != Some(crate::scenario::Expected::Referrer) {
            continue;
        }
        let click = traffic.sent.iter().find(|sent| sent.person == index && sent.kind == "click").unwrap();
        let id = click.inputs[0].replace("in_", "clk_");
        let needle = format!("\"install_referrer\":{{\"referrer\":\"utm_source={id}\"}}");
        assert!(seen.iter().any(|body| body.contains(&needle)), "{needle}");
        told += 1;
    }
    assert!(told > 0);
}

#[tokio::test]
async fn a_refusal_for_now_is_tried_again() {
    let stub = Stub { shy: true, ..Stub::default() };
    let limits = Limits { concurrency: 1, rate: None };
    let (traffic, seen, scenario, _) = ran(stub, 6, limits).await;
    assert_eq!(traffic.failures, []);
    assert_eq!(traffic.sent.len(), scenario.requests());
    assert_eq!(seen.len(), traffic.sent.iter().map(|sent| sent.attempts as usize).sum::<usize>());
    assert!(traffic.sent.iter().any(|sent| sent.attempts == 2));
}

#[tokio::test]
async fn after_a_refusal_for_good_the_person_is_silent() {
    let stub = Stub { refuses_installs: true, ..Stub::default() };
    let (traffic, _, scenario, progress) = ran(stub, 20, Limits::default()).await;
    assert!(!traffic.failures.is_empty());
    assert_eq!(progress, scenario.requests());
    for failure in &traffic.failures {
        assert!(failure.what.contains("the install was answered 400 instead of 200: no"), "{}", failure.what);
        assert!(!traffic.sent.iter().any(|sent| sent.person == failure.person && sent.step > failure.step));
    }
}

#[test]
fn percentiles_are_values_that_were_seen() {
    let ms = Duration::from_millis;
    let check = |values: &[u64], part, expected: Option<u64>| {
        assert_eq!(percentile(values.iter().copied().map(ms).collect(), part), expected.map(ms));
    };
    check(&[], 0.5, None);
    check(&[7], 0.99, Some(7));
    check(&[3, 1, 2], 0.5, Some(2));
    check(&[4, 3, 2, 1], 0.5, Some(2));
    check(&[1, 2, 3, 4], 0.99, Some(4));
    check(&[1, 2, 3, 4], 0.0, Some(1));
}

#[test]
fn urls_that_are_none_are_refused() {
    for url in ["127.0.0.1:8080", "ftp://example.com", "", "http://"] {
        assert!(Target::new(url, "key").is_err(), "{url}");
    }
}
