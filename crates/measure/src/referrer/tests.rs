use super::*;

#[test]
fn a_network_is_told_by_what_people_call_it() {
    for (source, network, same) in [
        ("Google Ads", "Google Ads UAC", true),
        ("Google Ads", "AdWords - iOS", true),
        ("Google Ads", "Example Network", false),
        ("Meta", "Facebook", true),
        ("Meta", "Metaverse Media", false),
        ("X", "X Ads", true),
        ("X", "Example X10", false),
        ("newsletter", "Our Newsletter", true),
        ("acme-ads", "Acme Ads", true),
        ("ab", "Kebab Media", false),
        ("ab", "AB", true),
    ] {
        assert_eq!(is_called(network, source), same, "{source} and {network}");
    }
}

#[test]
fn a_known_tracker_outranks_names() {
    let reported = Reported {
        name: "abc123".to_owned(),
        paid: true,
        medium: None,
        campaign: Some("kodemo-t1".to_owned()),
        encrypted: false,
        tracker: Some(TrackerId(1)),
        network: Some(NetworkId(7)),
    };
    assert!(reported.is_of(NetworkId(7), "Anything"));
    assert!(!reported.is_of(NetworkId(8), "abc123"));
}
