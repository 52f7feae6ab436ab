use super::{Advisory, AggregatePostback, ConversionType, Framework, Signed};

fn postback() -> AggregatePostback {
    AggregatePostback {
        framework: Framework::SkAdNetwork,
        version: Some("4.0".to_owned()),
        network: "com.example".to_owned(),
        source: "5239".to_owned(),
        app_store_id: "525463029".to_owned(),
        transaction: "6aafb7a5-0170-41b5-bbe4-fe71dedf1e30".to_owned(),
        window: 0,
        conversion: ConversionType::Download,
        source_app: None,
        source_domain: None,
        fidelity: Some(1),
        did_win: Some(true),
        impression: None,
        marketplace: None,
        signed: Signed::Production,
        advisory: Advisory::default(),
    }
}

#[test]
fn a_transaction_counts_once_in_each_window_and_framework() {
    let same = |change: fn(&mut AggregatePostback)| {
        let mut other = postback();
        change(&mut other);
        other.key() == postback().key()
    };
    assert!(same(|_| {}));
    assert!(same(|other| other.advisory.fine_value = Some(7)));
    assert!(!same(|other| other.window = 1));
    assert!(!same(|other| other.transaction.push('0')));
    assert!(!same(|other| other.framework = Framework::AdAttributionKit));
}

#[test]
fn before_version_3_only_winners_are_told() {
    let won = |did_win| AggregatePostback { did_win, ..postback() }.won();
    assert!(won(None));
    assert!(won(Some(true)));
    assert!(!won(Some(false)));
}
