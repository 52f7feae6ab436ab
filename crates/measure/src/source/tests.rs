use super::*;

fn mapping(identifiers: &[&str]) -> Mapping {
    let paths = |name: &&str| ((*name).to_owned(), vec!["a.b".to_owned()]);
    Mapping { identifiers: identifiers.iter().map(paths).collect(), ..Mapping::default() }
}

#[test]
fn a_mapping_names_what_a_device_is_found_by() {
    let check = |identifiers: &[&str], missing: &str| {
        assert_eq!(mapping(identifiers).missing().join("; "), missing, "{identifiers:?}");
    };
    let one_of = "one of identifiers.idfa, identifiers.idfv, identifiers.adid, identifiers.android_id";
    check(&["kochava_device_id", "ip", "idfv"], "");
    check(&["kochava_device_id", "ip", "adid", "loyalty_id"], "");
    check(&["kochava_device_id", "ip", "loyalty_id"], one_of);
    check(&["ip", "idfa"], "identifiers.kochava_device_id");
    check(&["kochava_device_id", "android_id"], "identifiers.ip");
    check(&[], &format!("identifiers.kochava_device_id; identifiers.ip; {one_of}"));
    let empty = Mapping { identifiers: vec![("ip".to_owned(), Vec::new())], ..mapping(&[]) };
    assert!(empty.missing().contains(&"identifiers.ip".to_owned()));
}

#[test]
fn the_mappings_that_sources_begin_with_are_complete() {
    for kind in SourceKind::ALL {
        let mapping = Mapping::of(kind);
        assert_eq!(mapping.is_some(), kind.is_mapped(), "{kind:?}");
        let Some(mapping) = mapping else { continue };
        assert_eq!(mapping.missing(), Vec::<String>::new(), "{kind:?}");
        assert_eq!(mapping.renamed("Order Completed"), "Purchase");
        assert_eq!(mapping.renamed("Product Added"), "Add to Cart");
        assert_eq!(mapping.renamed("Song Played"), "Song Played");
        assert!(mapping.is_install("Application Installed"));
        assert!(!mapping.is_install("Application Opened"));
        assert!(mapping.send_users && mapping.events.takes("anything"));
    }
    assert!(Mapping::of(SourceKind::Amplitude).unwrap().is_install("[Amplitude] Application Installed"));
}

#[test]
fn a_choice_takes_what_it_lists() {
    let only = Choice::Only(vec!["a".to_owned()]);
    assert!(only.takes("a") && !only.takes("A") && !only.takes("b"));
    assert!(!Choice::Only(Vec::new()).takes("a"));
}
