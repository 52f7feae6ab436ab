use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ipnet::IpNet;
use measure::postback::{Delivery, DeliveryState};
use proptest::prelude::*;
use tokio::net::TcpListener;

use super::{Running, get, options, sink::Sink};
use crate::{Guard, Options};

fn check(allowed: &[&str], ip: &str, expected: bool) {
    let nets = allowed.iter().map(|net| net.parse::<IpNet>().unwrap()).collect();
    assert_eq!(Guard::new(nets).allows(ip.parse().unwrap()), expected, "{ip} with {allowed:?}");
}

#[test]
fn the_public_internet_passes() {
    for ip in
        ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "223.255.255.255", "2606:4700::1111", "2a00::1"]
    {
        check(&[], ip, true);
    }
}

#[test]
fn everything_else_is_refused() {
    for ip in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
    ] {
        check(&[], ip, false);
        check(&[], &format!("::ffff:{ip}"), false);
        check(&[], &format!("64:ff9b::{ip}"), false);
        check(&[], &format!("::ffff:0:{ip}"), false);
        check(&[], &format!("::{ip}"), false);
    }
    for ip in [
        "::",
        "::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "64:ff9b:1::a00:1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "5f00::1",
    ] {
        check(&[], ip, false);
    }
}

#[test]
fn the_allow_list_opens_what_it_names() {
    check(&["127.0.0.0/8"], "127.0.0.1", true);
    check(&["127.0.0.0/8"], "::ffff:127.0.0.1", true);
    check(&["127.0.0.0/8"], "64:ff9b::7f00:1", false);
    check(&["127.0.0.0/8"], "10.0.0.1", false);
    check(&["127.0.0.0/8"], "::1", false);
    check(&["::1/128", "10.1.0.0/16"], "::1", true);
    check(&["::1/128", "10.1.0.0/16"], "10.1.2.3", true);
    check(&["::1/128", "10.1.0.0/16"], "10.2.2.3", false);
    check(&["fd00::/8"], "fd12::1", true);
}

proptest! {
    /// No embedding of an IPv4 address reaches what the address itself does not.
    #[test]
    fn an_embedded_address_never_opens_anything(bits: u32) {
        let guard = Guard::new(Vec::new());
        let low = u128::from(bits);
        for embedded in [0xffff << 32 | low, low, 0x0064_ff9b << 96 | low, 0x2002 << 112 | low << 80, 0xffff << 48 | low] {
            prop_assert!(!guard.allows(IpAddr::V6(embedded.into())), "{:x}", embedded);
        }
    }
}

/// A listener that counts who connects.
async fn listener() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, connections)
}

async fn send_to(url: String, options: Options) -> Delivery {
    let running = Running::start(options);
    running.commit([get(url)]);
    running.finished(1).await
}

#[tokio::test]
async fn a_blocked_target_is_never_connected_to() {
    let (port, connections) = listener().await;
    // The last ones are further spellings of 127.0.0.1.
    for host in [
        "127.0.0.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
        "127.1",
        "user@127.0.0.1",
        "127.0.0.1.",
    ] {
        let delivery = send_to(format!("http://{host}:{port}/"), Options::default()).await;
        assert_eq!(
            (delivery.state, delivery.reason.as_deref()),
            (DeliveryState::Suppressed, Some("blocked_target")),
            "{host}"
        );
        assert_eq!(delivery.attempts, [], "{host}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_allowed_name_is_reached_at_its_vetted_address() {
    let sink = Sink::content().await;
    let delivery = send_to(format!("http://localhost:{}/", sink.address.port()), options()).await;
    assert_eq!(delivery.state, DeliveryState::Delivered);
    assert_eq!(sink.received().len(), 1);
}

#[tokio::test]
async fn what_is_no_url_is_suppressed() {
    for url in ["http://", "no url", "http://[::1", "http://a.123/"] {
        let delivery = send_to(url.into(), options()).await;
        assert_eq!(
            (delivery.state, delivery.reason.as_deref()),
            (DeliveryState::Suppressed, Some("bad_url")),
            "{url}"
        );
    }
}
