//! From the file, the environment and the command line to a [`Config`].

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use figment::error::{Actual, Kind};
use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};

use super::Config;
use super::environment::{FILE_VARIABLE, PREFIX, TextLayer};
use super::problems::Problem;

/// The file that is read when it exists and no other is named.
pub const DEFAULT_FILE: &str = "greenroom.toml";

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The file to read; it must exist.
    pub file: Option<PathBuf>,
    /// Keys (with dots), the flags that set them, and their values.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

/// A configuration that passed every check.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// Environment variables that start with `GREENROOM_` but are no keys: worth a warning.
    pub ignored: Vec<String>,
}

/// Why there is no configuration: everything that was found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [only] => write!(f, "the configuration is refused: {only}"),
            many => {
                write!(f, "the configuration is refused, for {} reasons:", many.len())?;
                many.iter().try_for_each(|message| write!(f, "\n  - {message}"))
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// All that can be said of a configuration at once.
#[derive(Debug)]
pub struct Survey {
    /// What it says, less the values that cannot be read; none where nothing can be read.
    pub loaded: Option<Loaded>,
    /// Everything that is wrong, in the order in which it was found.
    pub problems: Vec<Found>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The key, with dots; empty where it is the whole.
    pub key: String,
    /// What is wrong, where it was set, and what would be right.
    pub text: String,
}

/// Most values that are set aside to read the rest. A file with more of them is wrong in another
/// way.
const MOST_SET_ASIDE: usize = 100;

/// Reads the configuration. With [`survey`] the only place that looks at the environment.
///
/// # Errors
/// Everything that is wrong, each with its key, where it was set, and what would be right.
pub fn load(overrides: &Overrides) -> Result<Loaded, ConfigError> {
    survey(overrides).into_result()
}

/// Reads the configuration, and says all that is wrong with it.
pub fn survey(overrides: &Overrides) -> Survey {
    survey_of(overrides, Path::new("."), std::env::vars_os())
}

/// As [`load`], with a directory for the default file and an environment of the caller's.
#[cfg(test)]
pub(super) fn load_from(
    overrides: &Overrides,
    directory: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Loaded, ConfigError> {
    survey_of(overrides, directory, environment).into_result()
}

/// As [`survey`], with a directory for the default file and an environment of the caller's.
pub(super) fn survey_of(
    overrides: &Overrides,
    directory: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Survey {
    match read(overrides, directory, environment) {
        Ok((figment, file, ignored)) => Survey::of(&figment, file, ignored),
        Err(ConfigError(texts)) => Survey {
            loaded: None,
            problems: texts.into_iter().map(|text| Found { key: String::new(), text }).collect(),
        },
    }
}

impl Survey {
    fn of(figment: &Figment, file: Option<PathBuf>, ignored: Vec<String>) -> Self {
        let mut problems = Vec::new();
        let mut values = match figment.extract::<Dict>() {
            Ok(values) => values,
            Err(errors) => {
                let found = errors.into_iter().map(|error| explain(figment, &error)).collect();
                return Self { loaded: None, problems: found };
            }
        };
        // One value that cannot be read hides the others: each is set aside, and the rest read
        // again.
        let config = loop {
            match Value::from(values.clone()).deserialize::<Config>() {
                Ok(config) => break config,
                Err(errors) => {
                    let found: Vec<_> =
                        errors.into_iter().map(|error| explain(figment, &error)).collect();
                    let removed =
                        found.iter().filter(|found| remove(&mut values, &found.key)).count();
                    problems.extend(found);
                    if removed == 0 || problems.len() >= MOST_SET_ASIDE {
                        return Self { loaded: None, problems };
                    }
                }
            }
        };
        if let Err(mut more) = config.validate() {
            more.locate(|key| origin(figment, key));
            // What was set aside, or is misspelt, may be missed now.
            let known: Vec<_> = problems.iter().map(|found| found.key.clone()).collect();
            let table = |key: &str| {
                key.rsplit_once('.').map_or(String::new(), |(table, _)| table.to_owned())
            };
            let missed = |problem: &Problem| {
                problem.message.starts_with("is not set")
                    && known.iter().any(|known| table(known) == table(&problem.key))
            };
            let more =
                more.iter().filter(|problem| !known.contains(&problem.key) && !missed(problem));
            problems.extend(
                more.map(|problem| Found { key: problem.key.clone(), text: problem.to_string() }),
            );
        }
        Self { loaded: Some(Loaded { config, file, ignored }), problems }
    }

    /// The configuration, if nothing is wrong with it.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn into_result(self) -> Result<Loaded, ConfigError> {
        match self.loaded {
            Some(loaded) if self.problems.is_empty() => Ok(loaded),
            _ => Err(ConfigError(self.problems.into_iter().map(|found| found.text).collect())),
        }
    }
}

/// Takes the value at `key` out, or the nearest one that holds it; false where there is none.
fn remove(values: &mut Dict, key: &str) -> bool {
    let Some((first, rest)) = key.split_once('.') else { return values.remove(key).is_some() };
    if let Some(Value::Dict(_, inner)) = values.get_mut(first)
        && remove(inner, rest)
    {
        return true;
    }
    values.remove(first).is_some()
}

type Sources = (Figment, Option<PathBuf>, Vec<String>);

fn read(
    overrides: &Overrides,
    directory: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Sources, ConfigError> {
    let mut figment = Figment::new();
    let variables = as_text(environment)?;
    let file = find_file(overrides, directory, &variables);
    if let Some(path) = &file {
        figment = figment.merge(FileText::read(path)?);
    }
    let (variables, ignored) = TextLayer::environment(variables);
    let flags = overrides.flags.iter().map(|(key, flag, text)| (*key, *flag, text.as_str()));
    Ok((figment.merge(variables).merge(TextLayer::flags(flags)), file, ignored))
}

/// The file that the command line names, else the environment, else the usual one if it exists.
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

/// The variables that are ours, as text.
fn as_text(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let ours = environment
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(PREFIX));
    ours.map(|(name, value)| match value.into_string() {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(ConfigError(vec![format!("environment variable `{name}` is not UTF-8")])),
    })
    .collect()
}

/// A file that was read, so that one that cannot be read is not taken for an empty one.
struct FileText {
    path: PathBuf,
    text: String,
}

impl FileText {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self { path: path.to_owned(), text }),
            Err(error) => {
                Err(ConfigError(vec![format!("cannot read `{}`: {error}", path.display())]))
            }
        }
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
                Kind::Message(format!("`{}` is no TOML: {}", self.path.display(), why.trim_end()));
        }
        data
    }
}

/// Where `key` was set.
fn origin(figment: &Figment, key: &str) -> Option<String> {
    let metadata = figment.find_metadata(key)?;
    Some(match &metadata.source {
        Some(Source::File(path)) => format!("`{}`", path.display()),
        _ => metadata.interpolate(&Profile::Default, &key.split('.').collect::<Vec<_>>()),
    })
}

/// Says what is wrong with a value, in our words.
fn explain(figment: &Figment, error: &figment::Error) -> Found {
    let key = error.path.join(".");
    let (key, what) = match &error.kind {
        Kind::UnknownField(field, known) => {
            // Where a key sits determines what may stand there, so the path may or may not end with
            // it.
            let key = if error.path.last() == Some(field) { key } else { join(&key, field) };
            let what = if known.is_empty() {
                "is no key".to_owned()
            } else {
                format!("is no key; there are `{}`", known.join("`, `"))
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
        // Nothing but the file itself is wrong.
        Kind::Message(message) if key.is_empty() => return Found { key, text: message.clone() },
        other => {
            let what = format!("is refused: {other}");
            (key, what)
        }
    };
    let text = match origin(figment, &key) {
        Some(origin) if !origin.is_empty() => format!("`{key}` {what} (set in {origin})"),
        _ => format!("`{key}` {what}"),
    };
    Found { key, text }
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// What was found, unless it is a secret.
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
