//! Values given as text, in environment variables and flags.

use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};

use super::{ClusterConfig, Config, kinds};

/// The prefix of the variables' names.
pub const PREFIX: &str = "GREENROOM_";

/// The variable that names the configuration file, as `--config` does.
pub const FILE_VARIABLE: &str = "GREENROOM_CONFIG";

/// Variables that are read elsewhere: the tests' data, and the path of the configuration file.
const NOT_KEYS: [&str; 2] = ["DATA", "CONFIG"];

/// Keys with their values as text, and the source of each.
#[derive(Debug, Clone, Default)]
pub struct TextLayer {
    name: &'static str,
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    path: Vec<String>,
    text: String,
    /// Such as "environment variable `GREENROOM_LISTEN`".
    origin: String,
}

impl TextLayer {
    /// The command line: keys with dots, flags and values.
    pub fn flags<'a>(flags: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>) -> Self {
        let entry = |(key, flag, text): (&str, &str, &str)| Entry {
            path: key.split('.').map(str::to_owned).collect(),
            text: text.to_owned(),
            origin: format!("flag `{flag}`"),
        };
        Self { name: "command line", entries: flags.into_iter().map(entry).collect() }
    }

    /// The environment, and the names of variables that have the prefix but are not keys.
    ///
    /// `__` separates a key's parts. Names with one part only count if they are top-level keys: in
    /// a cluster, a service called `greenroom` adds `GREENROOM_PORT`, `GREENROOM_SERVICE_HOST` and
    /// others to every container.
    pub fn environment(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> (Self, Vec<String>) {
        let mut entries = Vec::new();
        let mut ignored = Vec::new();
        for (name, text) in variables {
            let Some(key) = name.strip_prefix(PREFIX) else { continue };
            let path: Vec<String> =
                key.to_ascii_lowercase().split("__").map(str::to_owned).collect();
            if path.len() > 1 || matches!(path[0].as_str(), "listen" | "workers") {
                entries.push(Entry {
                    path,
                    text,
                    origin: format!("environment variable `{name}`"),
                });
            } else if !NOT_KEYS.contains(&key) && !is_service_link(key) {
                ignored.push(name);
            }
        }
        // Sorted, so that the result does not depend on the order of the environment.
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        ignored.sort();
        (Self { name: "environment", entries }, ignored)
    }
}

impl Provider for TextLayer {
    fn metadata(&self) -> Metadata {
        let entries = self.entries.clone();
        Metadata::named(self.name).interpolater(move |_, path| {
            let below = |entry: &&Entry| entry.path.iter().zip(path).all(|(a, b)| a == b);
            entries.iter().find(below).map_or_else(String::new, |entry| entry.origin.clone())
        })
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        // The sections that are not there by default have keys, too.
        let known = Config { cluster: Some(ClusterConfig::default()), ..Config::default() };
        let known = Value::serialize(known)?;
        let kind = Value::from(kinds::defaults());
        let mut all = Dict::new();
        for entry in &self.entries {
            insert(&mut all, &entry.path, typed(&known, &kind, &entry.path, &entry.text));
        }
        Ok(Profile::Default.collect(all))
    }
}

/// Whether orchestrators add this variable for a service called `greenroom` or `greenroom-…`.
fn is_service_link(key: &str) -> bool {
    key == "PORT"
        || key.starts_with("PORT_")
        || key.contains("_PORT_")
        || key.ends_with("_PORT")
        || key.contains("SERVICE_HOST")
        || key.contains("SERVICE_PORT")
}

/// Gives `text` the type of the default at `path`, so that a password of digits stays a string.
fn typed(known: &Value, kind: &Value, path: &[String], text: &str) -> Value {
    let parsed = || text.parse().expect("every text is some value");
    let default = match path {
        [kinds, _, field @ ..] if kinds == "kinds" && !field.is_empty() => {
            kind.find_ref(&field.join("."))
        }
        _ => known.find_ref(&path.join(".")),
    };
    match default {
        Some(Value::Num(..) | Value::Bool(..) | Value::Dict(..)) => parsed(),
        Some(Value::Array(..)) if !text.trim_start().starts_with('[') => text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .into(),
        Some(Value::Array(..)) => parsed(),
        // Strings, and keys without a default, all of which are strings too.
        _ => Value::from(text),
    }
}

fn insert(dict: &mut Dict, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => {
            dict.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let inner = dict.entry(key.clone()).or_insert_with(|| Value::from(Dict::new()));
            if !matches!(inner, Value::Dict(..)) {
                *inner = Value::from(Dict::new());
            }
            if let Value::Dict(_, inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}
