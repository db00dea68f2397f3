use proptest::prelude::*;

use super::*;

fn entity(text: &str) -> EntityId {
    EntityId::parse(text).unwrap()
}

fn capabilities(json: &str) -> Result<Capabilities, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

#[test]
fn permissions_imply_and_add_up() {
    let send = Permissions::parse(["send"]).unwrap();
    assert_eq!(send, Permissions::SEND);
    assert!(send.contains(Permissions::SIGNAL) && send.contains(Permissions::PRESENCE));
    assert!(!send.contains(Permissions::READ) && !send.contains(Permissions::MODERATE));
    let parts = Permissions::parse(["signal", "presence"]).unwrap();
    assert!(!parts.contains(Permissions::SEND), "the implied ones do not make up the whole");
    assert!(Permissions::parse(Vec::<&str>::new()).unwrap().is_empty());
    assert_eq!(Permissions::parse(["read", "send", "moderate"]).unwrap(), Permissions::ALL);
    assert_eq!(format!("{:?}", Permissions::READ | Permissions::SIGNAL), r#"{"read", "signal"}"#);
    assert_eq!(Permissions::parse(["read", "write"]), Err(UnknownPermission("write".into())));
    assert_eq!(Permissions::parse(Permissions::ALL.names()), Ok(Permissions::ALL));
}

#[test]
fn patterns_grant() {
    let capabilities = capabilities(r#"{"room:*": ["read"], "room:lobby": ["send"], "doc:plan-*": ["read"], "g*": ["moderate"]}"#).unwrap();
    let table = [
        ("room:lobby", Permissions::READ | Permissions::SEND),
        ("room:lobby2", Permissions::READ),
        ("rooms:lobby", Permissions::NONE),
        ("doc:plan-", Permissions::READ),
        ("doc:plan-7", Permissions::READ),
        ("doc:plan", Permissions::NONE),
        ("game:x", Permissions::MODERATE),
    ];
    for (id, want) in table {
        assert_eq!(capabilities.permissions(&entity(id)), want, "{id}");
    }
    assert_eq!(Capabilities::default().permissions(&entity("room:lobby")), Permissions::NONE);
    assert!(Capabilities::default().is_empty() && !capabilities.is_empty());
}

#[test]
fn a_pattern_given_twice_adds_up() {
    let capabilities = capabilities(
        r#"{"*": ["read"], "a:b": ["signal"], "a:b": ["presence"], "*": ["moderate"]}"#,
    )
    .unwrap();
    let want =
        Permissions::READ | Permissions::SIGNAL | Permissions::PRESENCE | Permissions::MODERATE;
    assert_eq!(capabilities.permissions(&entity("a:b")), want);
}

#[test]
fn mistakes_are_named() {
    let long = format!(r#"{{"room:{}*": []}}"#, "x".repeat(200));
    let table = [
        (r#"{"room:*": ["read", "write"]}"#, "`write` is no permission"),
        (r#"{"room:*": "read"}"#, "a list of permissions"),
        (r#"["room:*"]"#, "a map of patterns"),
        (r#"{"room": ["read"]}"#, "`room` is no entity id"),
        (r#"{"": []}"#, "`` is no entity id"),
        (r#"{"Room:*": []}"#, "`Room:*`"),
        (r#"{"room:*:x": []}"#, "`room:*:x`"),
        (r#"{"room:**": []}"#, "`room:**`"),
        (r#"{"**": []}"#, "`**`"),
        (r#"{"room:ä*": []}"#, "`room:ä*`"),
        (&long, "more than 200 bytes"),
    ];
    for (json, want) in table {
        let error = capabilities(json).unwrap_err();
        assert!(error.contains(want), "{json}: {error}");
    }
}

#[test]
fn the_number_of_patterns_is_bounded() {
    let grants = |count: usize| {
        (0..count).map(|i| format!(r#""room:{i}": ["read"]"#)).collect::<Vec<_>>().join(",")
    };
    assert!(capabilities(&format!("{{{}}}", grants(MAX_PATTERNS))).is_ok());
    let error = capabilities(&format!("{{{}}}", grants(MAX_PATTERNS + 1))).unwrap_err();
    assert!(error.contains("more than 256"), "{error}");
    let grants = (0..=MAX_PATTERNS).map(|_| ("*", Permissions::READ));
    assert_eq!(Capabilities::new(grants), Err(BadCapabilities::TooMany));
}

/// The documentation, implemented in the simplest way.
fn naive(grants: &[(String, Permissions)], entity: &EntityId) -> Permissions {
    let matches = |pattern: &str| match pattern.strip_suffix('*') {
        Some(prefix) => entity.as_str().starts_with(prefix),
        None => entity.as_str() == pattern,
    };
    grants
        .iter()
        .filter(|(pattern, _)| matches(pattern))
        .fold(Permissions::NONE, |all, (_, granted)| all | *granted)
}

fn permissions() -> impl Strategy<Value = Permissions> {
    prop::collection::vec(
        prop::sample::select(vec!["read", "send", "signal", "presence", "moderate"]),
        0..3,
    )
    .prop_map(|names| Permissions::parse(names).unwrap())
}

proptest! {
    #[test]
    fn lookups_match_the_naive_ones(
        // A small alphabet, so that patterns match ids.
        grants in prop::collection::vec(("[ab]{1,2}(:[ab:]{0,3})?\\*|[ab]{1,2}:[ab:]{1,3}|\\*", permissions()), 0..20),
        ids in prop::collection::vec("[ab]{1,2}:[ab:]{1,4}", 1..20),
    ) {
        let capabilities = Capabilities::new(grants.clone()).unwrap();
        for id in ids {
            let entity = entity(&id);
            prop_assert_eq!(capabilities.permissions(&entity), naive(&grants, &entity), "{}", id);
        }
    }

    #[test]
    fn no_pattern_panics(pattern in "\\PC{0,20}\\*?", id in "[ab]:[ab]{1,4}") {
        if let Ok(capabilities) = Capabilities::new([(&pattern, Permissions::READ)]) {
            let matched = capabilities.permissions(&entity(&id));
            prop_assert_eq!(matched, naive(&[(pattern, Permissions::READ)], &entity(&id)));
        }
    }
}
