//! What is wrong with settings that could be read.

use std::fmt;
use std::time::Duration;

/// A setting whose value cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting's path from what was checked, such as `max_frame_bytes` or
    /// `socket.max_frame_bytes`; empty if the problem is with all of it.
    pub key: String,
    /// What is wrong and what would be right, to be read after the key.
    pub message: String,
    /// Whether there is a value at all.
    pub value: ValueIs,
}

/// What a problem says about the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueIs {
    /// There is none, and there has to be one.
    NotSet,
    /// It cannot work.
    Wrong,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => f.write_str(&self.message),
            key => write!(f, "`{key}` {}", self.message),
        }
    }
}

/// All problems that a check has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a problem with `key`.
    pub fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        let value = ValueIs::Wrong;
        self.0.push(Problem { key: key.into(), message: message.into(), value });
    }

    /// Notes that `key` has to be set; `hint` says to what.
    pub fn not_set(&mut self, key: impl Into<String>, hint: &str) {
        let message = format!("is not set; {hint}");
        self.0.push(Problem { key: key.into(), message, value: ValueIs::NotSet });
    }

    /// Notes a problem unless `holds`.
    pub fn check(&mut self, holds: bool, key: &str, message: impl FnOnce() -> String) {
        if !holds {
            self.add(key, message());
        }
    }

    /// Notes a problem if `value` is below `least`.
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

    /// Notes a problem unless `value` is between `least` and `most`, or one of them.
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

    /// Adds what was found in the table `path`.
    pub fn add_below(&mut self, path: &str, found: Self) {
        let below = |key: String| match key.as_str() {
            "" => path.to_owned(),
            key => format!("{path}.{key}"),
        };
        self.0.extend(
            found.0.into_iter().map(|problem| Problem { key: below(problem.key), ..problem }),
        );
    }

    /// All of them, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// An error if there are any.
    ///
    /// # Errors
    /// All of them.
    pub fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}
