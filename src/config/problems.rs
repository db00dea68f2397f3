//! What is wrong with a configuration that could be read.

use std::fmt;
use std::time::Duration;

/// One key whose value cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key's full path, such as `socket.max_frame_bytes`.
    pub key: String,
    /// What is wrong and what would be right; reads on from the key.
    pub message: String,
    /// Where the value was set, when it is not a default.
    pub origin: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.key, self.message)?;
        match &self.origin {
            Some(origin) => write!(f, " (set in {origin})"),
            None => Ok(()),
        }
    }
}

/// All problems of one configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a problem with `key`.
    pub fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { key: key.into(), message: message.into(), origin: None });
    }

    /// Notes a problem unless `holds`.
    pub fn check(&mut self, holds: bool, key: &str, message: impl FnOnce() -> String) {
        if !holds {
            self.add(key, message());
        }
    }

    /// Wants a number from `least` on.
    pub fn at_least<T: PartialOrd + fmt::Display>(
        &mut self,
        key: impl Into<String>,
        value: T,
        least: T,
    ) {
        if value < least {
            self.add(key, format!("is {value}; it must be at least {least}"));
        }
    }

    /// Wants a duration within bounds, both included.
    pub fn within(
        &mut self,
        key: impl Into<String>,
        value: Duration,
        least: Duration,
        most: Duration,
    ) {
        if value < least || value > most {
            let [value, least, most] = [value, least, most].map(humantime::format_duration);
            self.add(key, format!("is {value}; it must be from {least} to {most}"));
        }
    }

    /// Says where the values were set.
    pub fn locate(&mut self, mut origin: impl FnMut(&str) -> Option<String>) {
        for problem in &mut self.0 {
            problem.origin = origin(&problem.key);
        }
    }

    /// All of them, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// An error when there are any.
    ///
    /// # Errors
    /// All of them.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
