//! Log lines: which there are, and how they look.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Directive, LevelFilter};

use crate::config::{LogConfig, LogFormat};

/// Writes lines to standard error from now on, as `config` says.
pub fn start(config: &LogConfig) {
    let filter =
        filter(&config.filter).expect("a validated configuration has a filter that can be read");
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match config.format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
}

/// Reads `log.filter`: directives in the syntax of `EnvFilter`, separated by commas. Without any,
/// only errors are written.
///
/// `EnvFilter` would read all of it at once, but then prints a warning, in a compiler's style and
/// past the log, about each `trace`, since the build leaves trace lines of libraries out. Ours are
/// there, so nothing is wrong with asking for them.
///
/// # Errors
/// The first directive that is none.
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
    fn filters_say_what_envfilter_would() {
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
