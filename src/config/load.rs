//! Loads a [`Config`] from the file, the environment and the command line.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use figment::error::{Actual, Kind};
use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};
use greenroom_actors::settings::{Problem, Problems, ValueIs};
use serde::de::DeserializeOwned;

use super::environment::{FILE_VARIABLE, PREFIX, TextLayer};
use super::secret::read_text;
use super::{Config, UnreadableFile, kinds};

/// The file that is read if it exists and no other is named.
pub const DEFAULT_FILE: &str = "greenroom.toml";

/// The configuration flags of the command line.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The file to read, which must exist.
    pub file: Option<PathBuf>,
    /// Keys (with dots), the flags that set them, and their values.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

/// A configuration with its sources.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// Environment variables that start with `GREENROOM_` but are not keys, for a warning.
    pub ignored: Vec<String>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    Unreadable(#[source] UnreadableFile),
    /// An environment variable with our prefix is not UTF-8.
    NotUtf8 {
        variable: String,
    },
    /// Everything that is wrong, in the order in which it was found.
    Refused(Vec<String>),
}

impl ConfigError {
    /// The separate reasons.
    pub fn reasons(&self) -> Vec<String> {
        match self {
            Self::Unreadable(error) => vec![error.to_string()],
            Self::NotUtf8 { variable } => {
                vec![format!("environment variable `{variable}` is not UTF-8")]
            }
            Self::Refused(reasons) => reasons.clone(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reasons().as_slice() {
            [only] => write!(f, "the configuration is refused: {only}"),
            many => {
                write!(f, "the configuration is refused, for {} reasons:", many.len())?;
                many.iter().try_for_each(|message| write!(f, "\n  - {message}"))
            }
        }
    }
}

/// A configuration and everything that is wrong with it.
#[derive(Debug)]
pub struct Survey {
    /// With defaults for the values that cannot be read. `None` if nothing can be read.
    pub loaded: Option<Loaded>,
    /// Everything that is wrong, in the order in which it was found.
    pub problems: Vec<Found>,
}

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

/// Loads the configuration. Only this function and [`survey`] read the environment.
///
/// # Errors
/// Everything that is wrong, each with its key, where it was set, and what would be right.
pub fn load(overrides: &Overrides) -> Result<Loaded, ConfigError> {
    load_from(overrides, Path::new("."), std::env::vars_os())
}

/// Loads the configuration, with everything that is wrong with it.
pub fn survey(overrides: &Overrides) -> Survey {
    match read(overrides, Path::new("."), std::env::vars_os()) {
        Ok(sources) => Survey::of(sources),
        Err(error) => {
            let found = |text| Found { key: String::new(), text };
            let problems = error.reasons().into_iter().map(found).collect();
            Survey { loaded: None, problems }
        }
    }
}

/// Like [`load`], with the default file's directory and the environment as arguments.
pub(super) fn load_from(
    overrides: &Overrides,
    directory: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigError> {
    Survey::of(read(overrides, directory, environment)?).into_result()
}

impl Survey {
    fn of(sources: Sources) -> Self {
        let Sources { figment, file, ignored } = sources;
        let mut reader = Reader { figment: &figment, found: Vec::new() };
        let mut values = match figment.extract::<Dict>() {
            Ok(values) => values,
            Err(errors) => {
                for error in errors {
                    reader.note("", &error);
                }
                return Self { loaded: None, problems: reader.found };
            }
        };
        // The keys of a kind depend on its behaviour, so kinds are read one by one.
        let tables = values.remove("kinds");
        let Some(mut config) = reader.read::<Config>("", values) else {
            return Self { loaded: None, problems: reader.found };
        };
        if let Some(tables) = tables {
            config.kinds = kinds::read(tables, &mut reader);
        }
        if let Err(problems) = config.validate() {
            reader.add_problems(&problems);
        }
        let loaded = Loaded { config, file, ignored };
        Self { loaded: Some(loaded), problems: reader.found }
    }

    /// # Errors
    /// If anything is wrong.
    pub fn into_result(self) -> Result<Loaded, ConfigError> {
        match self.loaded {
            Some(loaded) if self.problems.is_empty() => Ok(loaded),
            _ => Err(ConfigError::Refused(
                self.problems.into_iter().map(|found| found.text).collect(),
            )),
        }
    }
}

/// Reads tables, and records wrong values and where they were set.
pub(super) struct Reader<'a> {
    figment: &'a Figment,
    found: Vec<Found>,
}

impl Reader<'_> {
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
    fn note(&mut self, path: &str, error: &figment::Error) -> String {
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
    fn add_problems(&mut self, problems: &Problems) {
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

/// The sources of the configuration, merged; later ones override earlier ones.
struct Sources {
    figment: Figment,
    /// The file that was read, if any.
    file: Option<PathBuf>,
    /// Environment variables with our prefix that are not keys.
    ignored: Vec<String>,
}

fn read(
    overrides: &Overrides,
    directory: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Sources, ConfigError> {
    let mut figment = Figment::new();
    let variables = as_text(environment)?;
    let file = find_file(overrides, directory, &variables);
    if let Some(path) = &file {
        figment = figment.merge(FileText::read(path).map_err(ConfigError::Unreadable)?);
    }
    let (variables, ignored) = TextLayer::environment(variables);
    let flags = overrides.flags.iter().map(|(key, flag, text)| (*key, *flag, text.as_str()));
    let figment = figment.merge(variables).merge(TextLayer::flags(flags));
    Ok(Sources { figment, file, ignored })
}

/// The file that the command line names, or else the environment, or else the default file if it
/// exists.
fn find_file(
    overrides: &Overrides,
    directory: &Path,
    variables: &[(String, String)],
) -> Option<PathBuf> {
    let named = variables.iter().find(|(name, text)| name == FILE_VARIABLE && !text.is_empty());
    overrides.file.clone().or_else(|| named.map(|(_, text)| directory.join(text))).or_else(|| {
        let usual = directory.join(DEFAULT_FILE);
        usual.exists().then_some(usual)
    })
}

/// The variables with our prefix, as text.
fn as_text(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let ours = environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(PREFIX));
    ours.map(|(name, value)| match value.into_string() {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(ConfigError::NotUtf8 { variable: name }),
    })
    .collect()
}

/// The text of a file. It is read here because figment treats an unreadable file as empty.
struct FileText {
    path: PathBuf,
    text: String,
}

impl FileText {
    fn read(path: &Path) -> Result<Self, UnreadableFile> {
        let text = read_text(path)?;
        Ok(Self { path: path.to_owned(), text })
    }
}

impl Provider for FileText {
    fn metadata(&self) -> Metadata {
        Metadata::from("file", Source::File(self.path.clone()))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut data = Toml::string(&self.text).data();
        if let Err(error) = &mut data {
            let why = error.kind.to_string();
            error.kind =
                Kind::Message(format!("`{}` is not TOML: {}", self.path.display(), why.trim_end()));
        }
        data
    }
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
