//! Random configuration files: each is refused with reasons, or can be written and read again.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value as Json, json};

use super::*;

/// Loads `text`.
fn loaded(text: &str) -> Result<Config, Vec<String>> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(DEFAULT_FILE), text).unwrap();
    let overrides = Overrides { file: None, flags: Vec::new() };
    load_from(&overrides, directory.path(), std::iter::empty())
        .map(|loaded| loaded.config)
        .map_err(|error| error.reasons())
}

/// Keys that need no file and admit no strangers, so that many configurations are valid.
fn keys() -> Vec<String> {
    let plain = |key: &String| {
        !key.starts_with("auth.")
            && !key.starts_with("store.")
            && key != "listen"
            && key != "metrics.listen"
    };
    defaults()
        .into_iter()
        .map(|(key, _)| key)
        .filter(plain)
        .map(|key| key.replace("kinds.NAME", "kinds.room"))
        .collect()
}

fn any_value() -> impl Strategy<Value = Json> {
    let telling = [
        json!(0),
        json!(1),
        json!(64),
        json!(65536),
        json!(1u64 << 40),
        json!(i64::MAX),
        json!(-1),
        json!(0.5),
        json!(true),
        json!(""),
        json!("0s"),
        json!("1s"),
        json!("30s"),
        json!("1m"),
        json!("1h"),
        json!("9999y"),
        json!("1KiB"),
        json!("64KiB"),
        json!("1MiB"),
        json!("-1s"),
        json!("5 bananas"),
        json!("room"),
        json!("document"),
        json!("*"),
        json!("https://app.example"),
        json!([]),
        json!(["*"]),
        json!(["read"]),
        json!(["10.0.0.0/8"]),
        json!({}),
        json!({"a": 1}),
        json!("info"),
        json!("ü\u{0}\u{7f}"),
    ];
    prop_oneof![4 => select(telling.to_vec()), 1 => any::<i64>().prop_map(Json::from), 1 => "\\PC{0,12}".prop_map(Json::from)]
}

/// A file that sets `settings`.
fn file_of(settings: &[(String, Json)]) -> String {
    let mut root = Map::from_iter([("kinds".to_owned(), json!({"room": {"behaviour": "room"}}))]);
    for (key, value) in settings {
        let (last, parents) = match key.rsplit_once('.') {
            Some((parents, last)) => (last, parents.split('.').collect()),
            None => (key.as_str(), Vec::new()),
        };
        let mut table = &mut root;
        for part in parents {
            let inner = table.entry(part).or_insert_with(|| json!({}));
            if !inner.is_object() {
                *inner = json!({});
            }
            table = inner.as_object_mut().unwrap();
        }
        table.insert(last.to_owned(), value.clone());
    }
    toml::to_string(&root).unwrap()
}

/// Removes nulls, which TOML does not have.
fn without_nulls(value: &mut Json) {
    match value {
        Json::Object(members) => {
            members.retain(|_, value| !value.is_null());
            for value in members.values_mut() {
                without_nulls(value);
            }
        }
        Json::Array(items) => {
            for item in items {
                without_nulls(item);
            }
        }
        _ => {}
    }
}

/// Checks that a configuration is refused with reasons, or is the same after being written and read
/// again.
fn judge(text: &str) -> Result<bool, TestCaseError> {
    match loaded(text) {
        Err(reasons) => {
            prop_assert!(
                !reasons.is_empty() && reasons.iter().all(|reason| !reason.is_empty()),
                "{:?} for {}",
                reasons,
                text
            );
            Ok(false)
        }
        Ok(config) => {
            prop_assert!(config.validate().is_ok(), "{}", text);
            let mut shown = serde_json::to_value(&config).unwrap();
            without_nulls(&mut shown);
            let shown = toml::to_string(&shown).unwrap();
            let again = loaded(&shown);
            prop_assert_eq!(again.as_ref(), Ok(&config), "{} became {}", text, shown);
            Ok(true)
        }
    }
}

proptest! {
    #[test]
    fn any_settings(settings in prop::collection::vec((select(keys()), any_value()), 0..4)) {
        judge(&file_of(&settings))?;
    }

    /// Every default is valid by itself, and so are all of them together.
    #[test]
    fn any_defaults(chosen in prop::collection::vec(any::<Index>(), 0..20)) {
        // These belong to documents, and the kind here is a room.
        let mut foreign = kinds::keys_of(BehaviourName::Document);
        foreign.retain(|key, _| !kinds::keys_of(BehaviourName::Room).contains_key(key));
        let is_foreign = |key: &str| {
            key.strip_prefix("kinds.NAME.").is_some_and(|key| foreign.contains_key(key))
        };
        let known = defaults().into_iter().filter(|(key, _)| !is_foreign(key));
        let all: Vec<(String, Json)> = known.filter_map(|(key, value)| Some((key.replace("kinds.NAME", "kinds.room"), value?))).collect();
        let plain = keys();
        let mut chosen: Vec<_> = chosen.iter().map(|at| at.get(&all).clone()).filter(|(key, _)| plain.contains(key)).collect();
        if chosen.iter().any(|(key, _)| key.starts_with("cluster.")) {
            // Nodes of a cluster share a server.
            chosen.retain(|(key, _)| key != "store.url");
            chosen.push(("store.url".into(), "ws://127.0.0.1:8000".into()));
        }
        prop_assert!(judge(&file_of(&chosen))?, "{:?}", chosen);
    }

    /// The shipped file, damaged.
    #[test]
    fn a_damaged_file(changes in prop::collection::vec((any::<Index>(), "[\\PC\n]{0,3}", 0usize..5), 1..6)) {
        let shipped = include_str!("../../../greenroom.toml");
        let text: String = shipped.lines().map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line).to_owned() + "\n").collect();
        let mut text: Vec<char> = text.chars().collect();
        for (at, new, gone) in &changes {
            let at = at.index(text.len());
            let end = text.len().min(at + gone);
            text.splice(at..end, new.chars());
        }
        judge(&text.into_iter().collect::<String>())?;
    }
}
