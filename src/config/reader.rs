//! Reads tables of the configuration into structs, and collects everything that is wrong.

use figment::error::{Actual, Kind};
use figment::value::{Dict, Value};
use figment::{Figment, Profile, Source};
use greenroom_actors::settings::{Problem, Problems, ValueIs};
use serde::de::DeserializeOwned;

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The key, with dots; empty if it is about the configuration as a whole.
    pub key: String,
    /// What is wrong, where it was set, and what would be right.
    pub text: String,
}

/// The maximum number of wrong values that are set aside to read the rest. A file with more is not
/// a Greenroom configuration.
const MOST_SET_ASIDE: usize = 100;

/// Reads tables, and records wrong values and where they were set.
pub(super) struct Reader<'a> {
    figment: &'a Figment,
    found: Vec<Found>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(figment: &'a Figment) -> Self {
        Self { figment, found: Vec::new() }
    }

    /// Everything that was recorded, in that order.
    pub(super) fn into_found(self) -> Vec<Found> {
        self.found
    }

    /// Reads `values`, which are the table `path` or a part of it; an empty path means the whole
    /// file.
    ///
    /// A value that cannot be read hides the others, so each is recorded and set aside, and the
    /// rest is read again. Returns `None` if nothing can be read.
    pub(super) fn read<T: DeserializeOwned>(&mut self, path: &str, mut values: Dict) -> Option<T> {
        loop {
            let errors = match Value::from(values.clone()).deserialize::<T>() {
                Ok(settings) => return Some(settings),
                Err(errors) => errors,
            };
            let mut removed = 0;
            for error in errors {
                let key = self.note(path, &error);
                removed += usize::from(remove(&mut values, &key));
            }
            if removed == 0 || self.found.len() >= MOST_SET_ASIDE {
                return None;
            }
        }
    }

    /// Records that the value of `key` cannot be read or cannot work.
    pub(super) fn add(&mut self, key: String, what: &str) {
        let text = match origin(self.figment, &key) {
            Some(origin) if !origin.is_empty() => format!("`{key}` {what} (set in {origin})"),
            _ => format!("`{key}` {what}"),
        };
        self.found.push(Found { key, text });
    }

    /// Records an error in the table `path`. Returns the key within that table.
    pub(super) fn note(&mut self, path: &str, error: &figment::Error) -> String {
        let (key, what) = explain(error);
        if key.is_empty() && path.is_empty() {
            // The file itself is wrong.
            self.found.push(Found { key: String::new(), text: what });
        } else if key.is_empty() {
            self.add(path.to_owned(), &what);
        } else {
            self.add(join(path, &key), &what);
        }
        key
    }

    /// Records values that cannot work, unless a value that cannot be read is the cause.
    pub(super) fn add_problems(&mut self, problems: &Problems) {
        let known: Vec<_> = self.found.iter().map(|found| found.key.clone()).collect();
        let table =
            |key: &str| key.rsplit_once('.').map_or(String::new(), |(table, _)| table.to_owned());
        // A key may seem to be missing because its value was set aside or it is misspelt.
        let missed = |problem: &Problem| {
            problem.value == ValueIs::NotSet
                && known.iter().any(|known| table(known) == table(&problem.key))
        };
        for problem in problems.iter() {
            if !known.contains(&problem.key) && !missed(problem) {
                self.add(problem.key.clone(), &problem.message);
            }
        }
    }
}

/// Removes the value at `key`, or the nearest value that contains it. Returns whether there was
/// one.
fn remove(values: &mut Dict, key: &str) -> bool {
    let Some((first, rest)) = key.split_once('.') else { return values.remove(key).is_some() };
    if let Some(Value::Dict(_, inner)) = values.get_mut(first)
        && remove(inner, rest)
    {
        return true;
    }
    values.remove(first).is_some()
}

fn origin(figment: &Figment, key: &str) -> Option<String> {
    let metadata = figment.find_metadata(key)?;
    Some(match &metadata.source {
        Some(Source::File(path)) => format!("`{}`", path.display()),
        _ => metadata.interpolate(&Profile::Default, &key.split('.').collect::<Vec<_>>()),
    })
}

/// The key of a value that cannot be read, and a readable message.
fn explain(error: &figment::Error) -> (String, String) {
    let key = error.path.join(".");
    match &error.kind {
        Kind::UnknownField(field, known) => {
            // Whether the path ends with the key depends on the key's position.
            let key = if error.path.last() == Some(field) { key } else { join(&key, field) };
            let what = if known.is_empty() {
                "is not a key".to_owned()
            } else {
                format!("is not a key; there are `{}`", known.join("`, `"))
            };
            (key, what)
        }
        Kind::MissingField(field) => (join(&key, field), "is missing".to_owned()),
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            let what = format!("is {}; it must be {expected}", shown(&key, actual));
            (key, what)
        }
        Kind::UnknownVariant(found, known) => {
            (key, format!("is \"{found}\"; it must be one of \"{}\"", known.join("\", \"")))
        }
        Kind::Message(message) if key.is_empty() => (key, message.clone()),
        other => (key, format!("is refused: {other}")),
    }
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// Describes the value, unless it may be a secret.
fn shown(key: &str, actual: &Actual) -> String {
    if key.ends_with("secret") || key.ends_with("password") {
        return "of another type".to_owned();
    }
    match actual {
        Actual::Str(text) => format!("\"{text}\""),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Bool(truth) => truth.to_string(),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}
