//! Why a server or a command failed.

use std::process::ExitCode;

use crate::config::ConfigError;

/// Why a server or a command failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Wrong usage or configuration: exit code 2.
    #[error("{0}")]
    Config(String),
    /// A failure while running: exit code 1.
    #[error("{0}")]
    Runtime(String),
}

impl Failure {
    /// Combines everything that is wrong with a configuration and what it refers to.
    pub fn of_config(failures: Vec<String>) -> Self {
        ConfigError::Refused(failures).into()
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Runtime(_) => 1,
            Self::Config(_) => 2,
        }
    }

    /// Prints the failure to standard error and returns the exit code.
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
