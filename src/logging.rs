//! Logging: which lines are written, and in which format.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Directive, LevelFilter};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts writing log lines to standard error, as the validated configuration says.
pub fn start(directives: &str, format: LogFormat) {
    let filter = filter(directives).expect("a validated configuration has a valid filter");
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// Parses `log.filter`: directives in the syntax of `EnvFilter`, separated by commas. If it is
/// empty, only errors are logged.
///
/// `EnvFilter` could parse the whole filter at once, but for each `trace` it would then print a
/// warning to standard error, in the style of a compiler, because the build leaves out the trace
/// lines of libraries. Ours are there, so asking for them is not a mistake.
///
/// # Errors
/// The first directive that cannot be parsed.
pub fn filter(text: &str) -> Result<EnvFilter, String> {
    let directives: Vec<&str> =
        text.split(',').map(str::trim).filter(|directive| !directive.is_empty()).collect();
    let rest = if directives.is_empty() { LevelFilter::ERROR } else { LevelFilter::OFF };
    let begin = EnvFilter::builder()
        .with_default_directive(rest.into())
        .parse("")
        .map_err(|error| error.to_string())?;
    directives.into_iter().try_fold(begin, |filter, directive| {
        let parsed: Directive =
            directive.parse().map_err(|error| format!("`{directive}`: {error}"))?;
        Ok(filter.add_directive(parsed))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_those_of_envfilter() {
        for text in [
            "info",
            "debug",
            "info,greenroom=debug",
            "greenroom=debug",
            "warn,surrealdb=off,greenroom::ws=info",
            "info,[session]=debug",
        ] {
            let sorted = |filter: &EnvFilter| {
                let text = filter.to_string();
                let mut parts: Vec<_> =
                    text.split(',').filter(|part| *part != "off").map(str::to_owned).collect();
                parts.sort();
                parts
            };
            assert_eq!(
                sorted(&filter(text).unwrap()),
                sorted(&EnvFilter::builder().parse(text).unwrap()),
                "{text}"
            );
        }
        assert_eq!(filter("").unwrap().to_string(), "error");
        assert_eq!(filter("trace").unwrap().max_level_hint(), Some(LevelFilter::TRACE));
        assert_eq!(
            filter("info,greenroom=trace").unwrap().max_level_hint(),
            Some(LevelFilter::TRACE)
        );
        for bad in ["info,greenroom=loud", "greenroom=debug=info"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }
}
