//! Why a server or a command ended without success.

use std::process::ExitCode;

use crate::config::ConfigError;

/// Why it ended without success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It was asked for something that cannot be: exit code 2.
    #[error("{0}")]
    Config(String),
    /// It went wrong: exit code 1.
    #[error("{0}")]
    Runtime(String),
}

impl Failure {
    /// Everything that is wrong with a configuration and what it names.
    pub fn of_config(failures: Vec<String>) -> Self {
        ConfigError(failures).into()
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Runtime(_) => 1,
            Self::Config(_) => 2,
        }
    }

    /// Prints it, and hands back the exit code.
    pub fn report(&self) -> ExitCode {
        eprintln!("greenroom: {self}");
        ExitCode::from(self.code())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Config(error.to_string())
    }
}
