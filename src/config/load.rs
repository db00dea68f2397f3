//! Loads a [`Config`] from the file, the environment and the command line.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Map};
use figment::{Figment, Metadata, Profile, Provider, Source};

use super::environment::{FILE_VARIABLE, PREFIX, TextLayer};
use super::reader::{Found, Reader};
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
        let mut reader = Reader::new(&figment);
        let mut values = match figment.extract::<Dict>() {
            Ok(values) => values,
            Err(errors) => {
                for error in errors {
                    reader.note("", &error);
                }
                return Self { loaded: None, problems: reader.into_found() };
            }
        };
        // The keys of a kind depend on its behaviour, so kinds are read one by one.
        let tables = values.remove("kinds");
        let Some(mut config) = reader.read::<Config>("", values) else {
            return Self { loaded: None, problems: reader.into_found() };
        };
        if let Some(tables) = tables {
            config.kinds = kinds::read(tables, &mut reader);
        }
        if let Err(problems) = config.validate() {
            reader.add_problems(&problems);
        }
        let loaded = Loaded { config, file, ignored };
        Self { loaded: Some(loaded), problems: reader.into_found() }
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
