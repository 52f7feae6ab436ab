use super::*;

fn at(second: i64) -> Moment {
    Moment::new(Timestamp::from_seconds(second), Timestamp::from_seconds(100))
}

/// What is known of `ad_user_data` after statements `(second, value)`, in this order and in the other one.
#[track_caller]
fn check(statements: [(i64, bool); 2], expected: bool) {
    let [one, other] = statements;
    for order in [[one, other], [other, one]] {
        let (mut known, mut said) = (Consent::default(), ConsentSaid::default());
        for (second, value) in order {
            let sent = Consent { ad_user_data: Some(value), ..Consent::default() };
            known.take(&mut said, &sent, at(second));
            known.take(&mut said, &Consent::default(), at(99));
        }
        assert_eq!(known.ad_user_data, Some(expected), "{order:?}");
    }
}

#[test]
fn the_later_statement_stands_and_of_one_moment_the_refusal() {
    check([(1, true), (2, false)], false);
    check([(1, false), (2, true)], true);
    check([(1, true), (1, false)], false);
}

#[test]
fn of_one_second_the_statement_that_was_received_later_stands() {
    let second = Timestamp(1_500);
    let (early, late) =
        (Moment::new(Timestamp(1_900), Timestamp(2_000)), Moment::new(second, Timestamp(2_001)));
    let (mut known, mut said) = (Consent::default(), ConsentSaid::default());
    for (moment, flag) in [(early, false), (late, true)] {
        let sent = Consent { att: Att { flag: Some(flag), ..Att::default() }, ..Consent::default() };
        known.take(&mut said, &sent, moment);
    }
    assert_eq!(known.att.flag, Some(true));
}

#[test]
fn parts_are_said_one_by_one_and_what_nobody_dated_is_replaced() {
    let mut known = Consent { ad_user_data: Some(true), ..Consent::default() };
    let mut said = ConsentSaid::default();
    let first = Consent { ad_user_data: Some(false), tc_string: Some("a".to_owned()), ..Consent::default() };
    known.take(&mut said, &first, at(5));
    let second =
        Consent { limit_tracking: Some(true), tc_string: Some("b".to_owned()), ..Consent::default() };
    known.take(&mut said, &second, at(4));
    let expected = Consent { limit_tracking: Some(true), ..first };
    assert_eq!(known, expected);
}
