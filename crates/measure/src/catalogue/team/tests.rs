use super::*;
use crate::{
    KeyId,
    catalogue::{Change, Entry},
};

fn catalogue(entries: impl IntoIterator<Item = Entry>) -> Catalogue {
    let mut catalogue = Catalogue::default();
    for (version, entry) in (1..).zip(entries) {
        catalogue.apply(Change { version, at: Timestamp(0), by: None, entry });
    }
    catalogue
}

fn key(member: Option<u64>, apps: &[u64], write: bool) -> ManagementKey {
    ManagementKey {
        id: KeyId(1),
        name: String::new(),
        hash: [1; 32],
        apps: apps.iter().copied().map(AppId).collect(),
        write,
        created: Timestamp(0),
        revoked: false,
        member: member.map(MemberId),
    }
}

fn member(role: Role, apps: &[u64]) -> Entry {
    Entry::Member(Member {
        id: MemberId(1),
        name: "Sam".to_owned(),
        email: String::new(),
        role,
        apps: apps.iter().copied().map(AppId).collect(),
        created: Timestamp(0),
        deleted: false,
    })
}

#[test]
fn roles_are_named_as_the_incumbent_names_them() {
    for role in Role::ALL {
        assert_eq!(Role::named(role.name()), Some(role));
    }
    assert_eq!(Role::named(" app admin "), Some(Role::AppAdmin));
    assert_eq!(Role::named("Owner"), None);
}

/// Who may write something may read it.
#[test]
fn writing_includes_reading() {
    use Area::{Analytics, Campaigns, Conversions, Postbacks, Privacy, Setup, Team};
    for role in Role::ALL {
        for area in [Setup, Campaigns, Postbacks, Conversions, Analytics, Privacy, Team] {
            assert!(role.reads(area) || !role.writes(area), "{role:?} {area:?}");
        }
    }
}

#[test]
fn what_each_role_may_do() {
    use Area::{Analytics, Campaigns, Conversions, Postbacks, Privacy, Setup, Team};
    let areas = [Setup, Campaigns, Postbacks, Conversions, Analytics, Privacy, Team];
    let check = |role: Role, expected: &str| {
        let letter = |area: &Area| match (role.reads(*area), role.writes(*area)) {
            (_, true) => 'w',
            (true, false) => 'r',
            (false, false) => '-',
        };
        assert_eq!(areas.iter().map(letter).collect::<String>(), expected, "{role:?}");
    };
    check(Role::AccountAdmin, "wwwwwww");
    check(Role::AppAdmin, "wwwwww-");
    check(Role::CampaignAdmin, "rwrrr--");
    check(Role::AnalystUser, "rrrrr--");
    check(Role::ViewAnalytics, "rr--r--");
    check(Role::ViewPostbacks, "r-r----");
    check(Role::ViewConversions, "r--r---");
    check(Role::ReadOnly, "rrrrr--");
    check(Role::ReportingGenerationAccess, "rr--w--");
}

#[test]
fn a_key_reaches_what_both_it_and_its_member_reach() {
    let check = |of_member: &[u64], of_key: &[u64], expected: Option<&[u64]>| {
        let catalogue = catalogue([member(Role::AppAdmin, of_member)]);
        let access = catalogue.access(&key(Some(1), of_key, true)).unwrap();
        let expected = expected.map(|apps| apps.iter().copied().map(AppId).collect::<Vec<_>>());
        assert_eq!(access.apps, expected);
    };
    check(&[], &[], None);
    check(&[1, 2], &[], Some(&[1, 2]));
    check(&[], &[2], Some(&[2]));
    check(&[1, 2], &[2, 3], Some(&[2]));
    // Nothing in common is nothing, not everything.
    check(&[1], &[2], Some(&[]));
}

#[test]
fn a_key_ends_with_its_member() {
    let Entry::Member(mut gone) = member(Role::AccountAdmin, &[]) else { unreachable!() };
    let held = key(Some(1), &[], true);
    let before = catalogue([Entry::Member(gone.clone()), Entry::Key(held.clone())]);
    assert!(before.access(&held).is_some() && before.has_whole_key());
    gone.deleted = true;
    let after = catalogue([Entry::Member(gone), Entry::Key(held.clone())]);
    assert_eq!(after.access(&held), None);
    assert!(!after.has_whole_key());
    assert_eq!(catalogue([]).access(&held), None, "a member that is not there");
}

#[test]
fn only_a_whole_key_counts_as_one() {
    let check = |entry: Option<Entry>, held: ManagementKey, whole: bool| {
        let all = catalogue(entry.into_iter().chain([Entry::Key(held)]));
        assert_eq!(all.has_whole_key(), whole);
    };
    check(None, key(None, &[], true), true);
    check(None, key(None, &[], false), false);
    check(None, key(None, &[1], true), false);
    check(None, ManagementKey { revoked: true, ..key(None, &[], true) }, false);
    check(Some(member(Role::AccountAdmin, &[])), key(Some(1), &[], true), true);
    check(Some(member(Role::AccountAdmin, &[1])), key(Some(1), &[], true), false);
    check(Some(member(Role::AppAdmin, &[])), key(Some(1), &[], true), false);
}
