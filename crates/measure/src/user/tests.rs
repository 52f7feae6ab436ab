use proptest::{collection::vec, prelude::*};

use super::*;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn number(number: i64) -> Value {
    Value::Number(number.to_string())
}

/// A property in short: `a` a text, `5` a number, `a,b` a list, `-` nothing.
fn property(short: &str) -> Option<Property> {
    let value = |word: &str| match word.parse::<Decimal>() {
        Ok(_) => Value::Number(word.to_owned()),
        Err(_) => text(word),
    };
    match short {
        "-" => None,
        "[]" => Some(Property::List(Vec::new())),
        list if list.contains(',') => {
            Some(Property::list(list.split(',').filter(|word| !word.is_empty()).map(value)))
        }
        one => Some(Property::one(value(one))),
    }
}

fn known(short: &str) -> UserProperties {
    let mut user = UserProperties::default();
    if let Some(property) = property(short) {
        user.apply(&[Operation::Set("p".to_owned(), property)]);
    }
    user
}

/// `before operation value` gives `after`.
#[track_caller]
fn check(case: &str, after: &str) {
    let words: Vec<&str> = case.split(' ').collect();
    let mut user = known(words[0]);
    let (name, value) = ("p".to_owned(), || property(words[2]).unwrap());
    let operation = match words[1] {
        "clear" => Operation::ClearAll,
        "set" => Operation::Set(name, value()),
        "once" => Operation::SetOnce(name, value()),
        "add" => Operation::Add(name, words[2].parse().unwrap()),
        "append" => Operation::Append(name, value()),
        "prepend" => Operation::Prepend(name, value()),
        "pre" => Operation::PreInsert(name, value()),
        "post" => Operation::PostInsert(name, value()),
        "remove" => Operation::Remove(name, value()),
        _ => Operation::Unset(name),
    };
    let applied = user.apply(&[operation]);
    assert_eq!(user, known(after), "{case}");
    assert_eq!(applied.changed.is_empty(), known(words[0]) == user, "{case}");
    assert_eq!(applied.refused, Vec::<String>::new(), "{case}");
}

#[test]
fn every_operation_does_what_its_platform_documents() {
    check("- set a", "a");
    check("a set b", "b");
    check("a set b,c", "b,c");
    check("- once a", "a");
    check("a once b", "a");
    check("- add 3", "3");
    check("4 add 3", "7");
    check("4.50 add -0.5", "4");
    check("a add 3", "a");
    check("a,b add 3", "a,b");
    check("- append a", "a,");
    check("a append b", "a,b");
    check("a,b append a,c", "a,b,a,c");
    check("a,b prepend c,d", "c,d,a,b");
    check("- prepend a", "a,");
    check("a unset", "-");
    check("- unset", "-");
    check("a,b pre b,c", "c,a,b");
    check("a,b post b,c", "a,b,c");
    check("a post a", "a,");
    check("a,b,a remove a", "b,");
    check("a,b remove a,b", "[]");
    check("a remove a", "-");
    check("a remove b", "a");
    check("- remove a", "-");
    check("a,b clear", "-");
}

#[test]
fn one_and_one_point_zero_are_the_same_number() {
    check("1.0 post 1", "1,");
    check("1,2 remove 2.00", "1,");
}

#[test]
fn operations_change_what_they_name_and_nothing_else() {
    let mut user = UserProperties::default();
    user.apply(&[Operation::Set("a".to_owned(), Property::one(text("x")))]);
    let applied = user.apply(&[
        Operation::Set("a".to_owned(), Property::one(text("x"))),
        Operation::Set("b".to_owned(), Property::one(Value::Bool(true))),
    ]);
    assert_eq!(applied.changed, ["b"]);
    assert_eq!(user.get("a"), Some(&Property::one(text("x"))));
}

#[test]
fn what_is_too_much_is_left_out_and_named() {
    let mut user = UserProperties::default();
    let set = |name: String| Operation::Set(name, Property::one(number(1)));
    let many: Vec<Operation> = (0..=PROPERTIES_MAX).map(|n| set(format!("p{n}"))).collect();
    let applied = user.apply(&many);
    assert_eq!(applied.refused, [format!("p{PROPERTIES_MAX}")]);
    assert_eq!(applied.changed.len(), PROPERTIES_MAX);
    assert_eq!(user.apply(&[set("n".repeat(NAME_BYTES_MAX + 1))]).refused.len(), 1);
    let long = Property::one(text(&"é".repeat(TEXT_CHARS_MAX + 1)));
    assert_eq!(long.values()[0].text().chars().count(), TEXT_CHARS_MAX);
    let wide =
        |name: &str| Operation::Set(name.to_owned(), Property::list((0..9).map(|_| text(&"x".repeat(999)))));
    let mut user = UserProperties::default();
    assert_eq!(user.apply(&[wide("a"), wide("b"), wide("c"), wide("d")]).refused, ["d"]);
    // A value that is known already takes no more room.
    assert_eq!(user.apply(&[wide("a")]), Applied::default());
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-c]{1,2}".prop_map(Value::Text),
        (-9_i64..9).prop_map(number),
        any::<bool>().prop_map(Value::Bool),
    ]
}

fn properties() -> impl Strategy<Value = Property> {
    prop_oneof![values().prop_map(Property::one), vec(values(), 0..6).prop_map(Property::list)]
}

fn operations() -> impl Strategy<Value = Operation> {
    let name = "[pq]";
    prop_oneof![
        1 => Just(Operation::ClearAll),
        3 => (name, properties()).prop_map(|(name, value)| Operation::Set(name, value)),
        3 => (name, properties()).prop_map(|(name, value)| Operation::SetOnce(name, value)),
        3 => (name, -99_i64..99).prop_map(|(name, n)| Operation::Add(name, Decimal::new(n, 1))),
        3 => (name, properties()).prop_map(|(name, value)| Operation::Append(name, value)),
        3 => (name, properties()).prop_map(|(name, value)| Operation::Prepend(name, value)),
        2 => name.prop_map(Operation::Unset),
        3 => (name, properties()).prop_map(|(name, value)| Operation::PreInsert(name, value)),
        3 => (name, properties()).prop_map(|(name, value)| Operation::PostInsert(name, value)),
        3 => (name, properties()).prop_map(|(name, value)| Operation::Remove(name, value)),
    ]
}

fn after(user: &UserProperties, operations: &[Operation]) -> UserProperties {
    let mut user = user.clone();
    user.apply(operations);
    user
}

fn histories() -> impl Strategy<Value = UserProperties> {
    vec(operations(), 0..12).prop_map(|history| after(&UserProperties::default(), &history))
}

fn list(user: &UserProperties) -> Vec<Value> {
    user.get("p").map(|property| property.values().to_vec()).unwrap_or_default()
}

proptest! {
    #[test]
    fn a_list_of_operations_may_be_cut_anywhere(history in vec(operations(), 0..20), cut in 0_usize..20) {
        let cut = cut.min(history.len());
        let (first, then) = history.split_at(cut);
        let start = UserProperties::default();
        prop_assert_eq!(after(&after(&start, first), then), after(&start, &history));
    }

    #[test]
    fn most_operations_are_idempotent(user in histories(), operation in operations()) {
        let once = after(&user, std::slice::from_ref(&operation));
        let twice = after(&once, std::slice::from_ref(&operation));
        match operation {
            Operation::Add(..) | Operation::Append(..) | Operation::Prepend(..) => {}
            _ => prop_assert_eq!(twice, once),
        }
    }

    #[test]
    fn an_operation_touches_its_own_property_only(user in histories(), operation in operations()) {
        let changed = after(&user, std::slice::from_ref(&operation));
        if let Some(name) = operation.name() {
            for other in ["p", "q"].into_iter().filter(|other| *other != name) {
                prop_assert_eq!(changed.get(other), user.get(other));
            }
        } else {
            prop_assert!(changed.is_empty());
        }
    }

    #[test]
    fn changed_names_exactly_what_differs(user in histories(), history in vec(operations(), 0..6)) {
        let mut changed = user.clone();
        let applied = changed.apply(&history);
        for name in ["p", "q"] {
            let differs = changed.get(name) != user.get(name);
            prop_assert_eq!(applied.changed.iter().filter(|known| *known == name).count(), usize::from(differs));
        }
    }

    #[test]
    fn set_is_read_back_and_set_once_never_overrides(user in histories(), value in properties(), other in properties()) {
        let set = after(&user, &[Operation::Set("p".to_owned(), value.clone())]);
        prop_assert_eq!(set.get("p"), Some(&value));
        prop_assert_eq!(after(&set, &[Operation::SetOnce("p".to_owned(), other)]), set.clone());
        let unset = after(&set, &[Operation::Unset("p".to_owned())]);
        prop_assert_eq!(unset.get("p"), None);
        let once = after(&unset, &[Operation::SetOnce("p".to_owned(), value.clone())]);
        prop_assert_eq!(once.get("p"), Some(&value));
    }

    #[test]
    fn sums_add_up_in_any_order(user in histories(), a in -99_i64..99, b in -99_i64..99) {
        let add = |n| Operation::Add("p".to_owned(), Decimal::new(n, 1));
        let both = after(&user, &[add(a), add(b)]);
        prop_assert_eq!(&both, &after(&user, &[add(b), add(a)]));
        prop_assert_eq!(&both, &after(&user, &[add(a + b)]));
    }

    #[test]
    fn lists_grow_at_the_end_that_is_named(user in histories(), more in vec(values(), 0..6)) {
        let value = Property::list(more.clone());
        let before = list(&user);
        let appended = after(&user, &[Operation::Append("p".to_owned(), value.clone())]);
        prop_assert_eq!(list(&appended), [before.clone(), more.clone()].concat());
        let prepended = after(&user, &[Operation::Prepend("p".to_owned(), value)]);
        prop_assert_eq!(list(&prepended), [more, before].concat());
    }

    #[test]
    fn inserted_values_are_there_once_more_at_most(user in histories(), more in vec(values(), 0..6)) {
        let value = Property::list(more.clone());
        let before = list(&user);
        let count = |list: &[Value], wanted: &Value| list.iter().filter(|value| *value == wanted).count();
        for pre in [true, false] {
            let insert = if pre { Operation::PreInsert } else { Operation::PostInsert };
            let inserted = list(&after(&user, &[insert("p".to_owned(), value.clone())]));
            for wanted in more.iter().chain(&before) {
                prop_assert_eq!(count(&inserted, wanted), count(&before, wanted).max(1));
            }
            let kept = if pre { &inserted[inserted.len() - before.len()..] } else { &inserted[..before.len()] };
            prop_assert_eq!(kept, before.as_slice(), "what was there keeps its order");
        }
    }

    #[test]
    fn removed_values_are_gone_and_the_others_keep_their_order(user in histories(), gone in vec(values(), 0..6)) {
        let removed = list(&after(&user, &[Operation::Remove("p".to_owned(), Property::list(gone.clone()))]));
        let expected: Vec<Value> = list(&user).into_iter().filter(|value| !gone.contains(value)).collect();
        prop_assert_eq!(removed, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn nothing_ever_exceeds_the_limits(
        history in vec(("[a-z]{1,2}", 0_usize..300, 0_usize..1_100, any::<bool>()), 0..24)
    ) {
        let mut user = UserProperties::default();
        for (name, count, length, append) in history {
            let list = Property::list((0..count).map(|_| text(&"x".repeat(length))));
            user.apply(&[if append { Operation::Append(name, list) } else { Operation::Set(name, list) }]);
            prop_assert!(user.bytes() <= BYTES_MAX);
            prop_assert!(user.iter().count() <= PROPERTIES_MAX);
            prop_assert!(user.iter().all(|(_, property)| property.values().len() <= LIST_MAX));
        }
    }
}
