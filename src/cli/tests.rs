use clap::{CommandFactory, Parser};

use super::*;
use crate::auth::Authenticator;
use crate::config::{AnonymousUsers, AuthConfig, Config, Found, Secret, Survey};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_763_800_000_123;

fn parse(line: &[&str]) -> Result<Command, clap::Error> {
    Cli::try_parse_from(std::iter::once(&"greenroom").chain(line)).map(|cli| cli.command)
}

fn token_args(line: &[&str]) -> token::TokenArgs {
    match parse(&[&["token"], line].concat()).unwrap() {
        Command::Token(args) => args,
        other => panic!("{other:?}"),
    }
}

fn with_secret() -> AuthConfig {
    AuthConfig { secret: Some(Secret::new(SECRET)), ..AuthConfig::default() }
}

#[test]
fn the_command_line_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn help_has_examples_and_exit_codes() {
    let help = Cli::command().render_long_help().to_string();
    for part in [
        "greenroom token --sub alice",
        "GREENROOM_SOCKET__PING_INTERVAL",
        "Exit codes",
        "serve",
        "check",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
}

#[test]
fn flags_become_configuration_keys() {
    let Command::Serve(args) = parse(&[
        "serve",
        "--listen",
        "127.0.0.1:1",
        "--store",
        "memory",
        "--log-format",
        "json",
        "-c",
        "a.toml",
        "--static",
        "page",
    ])
    .unwrap() else {
        panic!("not serve")
    };
    assert_eq!(args.static_dir.as_deref(), Some(std::path::Path::new("page")));
    let overrides = args.config.overrides();
    assert_eq!(overrides.file.as_deref(), Some(std::path::Path::new("a.toml")));
    let set: Vec<_> =
        overrides.flags.iter().map(|(key, flag, value)| (*key, *flag, value.as_str())).collect();
    assert_eq!(
        set,
        [
            ("listen", "--listen", "127.0.0.1:1"),
            ("store.url", "--store", "memory"),
            ("log.format", "--log-format", "json")
        ]
    );
}

#[test]
fn a_minted_token_is_accepted() {
    let config =
        AuthConfig { issuer: Some("me".into()), audience: Some("you".into()), ..with_secret() };
    let args = token_args(&[
        "--sub",
        "alice",
        "--allow",
        "room:*=read,send",
        "--allow",
        "room:*=moderate",
        "--allow",
        "doc:a=b=read",
        "--ttl",
        "90s",
    ]);
    let token = token::mint(&args, &config, NOW).unwrap();
    let identity = Authenticator::new(&config, AnonymousUsers::Refused)
        .unwrap()
        .authenticate(Some(&token), "01KAMZ6ZV8QJ5C1X3W0Y7RTB2N", NOW)
        .unwrap();
    assert_eq!(&*identity.user, "alice");
    assert_eq!(identity.expires_at, Some((NOW / 1000 + 90) * 1000 + 5000));
    let may = |entity: &str| {
        identity.capabilities.permissions(&entity.parse().unwrap()).names().collect::<Vec<_>>()
    };
    assert_eq!(may("room:lobby"), ["read", "send", "signal", "presence", "moderate"]);
    assert_eq!(may("doc:a=b"), ["read"]);
    assert!(may("doc:a").is_empty());
}

#[test]
fn a_secret_may_come_from_a_flag_or_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{SECRET}\n")).unwrap();
    let path = file.path().to_str().unwrap();
    let none = AuthConfig::default();
    for line in [["--sub", "alice", "--secret", SECRET], ["--sub", "alice", "--secret-file", path]]
    {
        let token = token::mint(&token_args(&line), &none, NOW).unwrap();
        assert!(
            Authenticator::new(&with_secret(), AnonymousUsers::Refused)
                .unwrap()
                .authenticate(Some(&token), "01KAMZ6ZV8QJ5C1X3W0Y7RTB2N", NOW)
                .is_ok()
        );
    }
}

#[test]
fn a_token_that_cannot_be_made_is_refused_with_the_reason() {
    let none = AuthConfig::default();
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key.pem");
    std::fs::write(&key, "not a key").unwrap();
    let key = key.to_str().unwrap();
    for (line, config, reason) in [
        (&["--sub", "alice"][..], &none, "there is no key to sign with"),
        (&["--sub", "alice", "--secret", "short"], &none, "the secret has 5 bytes"),
        (
            &["--sub", "alice", "--secret-file", "/no/such/file"],
            &none,
            "cannot read `/no/such/file`",
        ),
        (&["--sub", "alice", "--private-key", key], &none, "needs `--algorithm`"),
        (
            &["--sub", "alice", "--private-key", key, "--algorithm", "ES256"],
            &none,
            "not a PEM private key",
        ),
        (&["--sub", "anon-1"], &with_secret(), "marks anonymous users"),
        (&["--sub", ""], &with_secret(), "is empty"),
    ] {
        let failure = token::mint(&token_args(line), config, NOW).unwrap_err();
        assert!(failure.to_string().contains(reason), "{line:?}: {failure}");
        assert_eq!(failure.code(), 2);
    }
}

#[test]
fn usage_errors_say_how_to_fix_them() {
    for (line, part) in [
        (&["token"][..], "--sub"),
        (&["token", "--sub", "a", "--allow", "room:*"], "PATTERN=PERMISSIONS"),
        (&["token", "--sub", "a", "--allow", "room:*=write"], "`write` is no permission"),
        (&["token", "--sub", "a", "--allow", "=read"], "pattern"),
        (&["token", "--sub", "a", "--ttl", "5"], "15m, 1h or 30d"),
        (&["token", "--sub", "a", "--ttl", "0s"], "at least 1s"),
        (&["token", "--sub", "a", "--ttl", "11y"], "ten years"),
        (&["token", "--sub", "a", "--secret", "x", "--private-key", "y"], "cannot be used with"),
        (&["serve", "--log-format", "xml"], "text, json"),
        (&["run"], "unrecognized subcommand"),
    ] {
        let error = parse(line).unwrap_err();
        assert!(error.to_string().contains(part), "{line:?}: {error}");
        assert_eq!(error.exit_code(), 2);
    }
}

/// What `check` prints and returns, with a store check that returns `store`.
async fn check(
    config: Config,
    problems: &[(&str, &str)],
    store: Result<&str, &str>,
) -> (String, Result<(), Failure>) {
    let ignored = vec!["GREENROOM_LISTN".into()];
    let loaded = Some(Loaded { config, file: None, ignored });
    let problems = problems
        .iter()
        .map(|(key, text)| Found { key: (*key).into(), text: (*text).into() })
        .collect();
    let mut out = Vec::new();
    let outcome = check::report(&Survey { loaded, problems }, &mut out, async |_, _| {
        store.map(Into::into).map_err(Into::into)
    })
    .await;
    (String::from_utf8(out).unwrap(), outcome)
}

#[actix_web::test]
async fn check_reports_each_part() {
    let (report, outcome) = check(Config::default(), &[], Ok("schema 1")).await;
    assert_eq!(outcome, Ok(()));
    for part in [
        "no file, defaults",
        "`GREENROOM_LISTN` is not a configuration key",
        "doc, room",
        "no tokens; anonymous users allowed: `auth.anonymous` is \"auto\"",
        "`surrealkv://./data`: schema 1",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
}

#[actix_web::test]
async fn check_distinguishes_configuration_and_store_failures() {
    let (report, outcome) = check(Config::default(), &[], Err("it is in use")).await;
    assert!(report.contains("FAIL  store"), "{report}");
    assert_eq!(outcome.unwrap_err().code(), 1);
}

#[actix_web::test]
async fn check_reports_all_mistakes_at_once() {
    let auth = AuthConfig { jwks_file: Some("/no/such/file".into()), ..AuthConfig::default() };
    let config = Config { auth, ..Config::default() };
    let (report, outcome) = check(
        config,
        &[("socket.max_in_flight", "`socket.max_in_flight` is 0")],
        Err("it is in use"),
    )
    .await;
    let failure = outcome.unwrap_err();
    assert_eq!(failure.code(), 2);
    for part in ["`socket.max_in_flight` is 0", "/no/such/file", "it is in use"] {
        assert!(
            report.contains(part) && failure.to_string().contains(part),
            "{part}: {report}{failure}"
        );
    }
    let (report, outcome) = check(
        Config::default(),
        &[("store.url", "`store.url` is `x`"), ("auth.leeway", "`auth.leeway` is 1h")],
        Ok("fine"),
    )
    .await;
    assert!(
        !report.contains("fine") && !report.contains("access"),
        "what depends on a wrong value is not checked: {report}"
    );
    assert_eq!(outcome.unwrap_err().code(), 2);
}

#[test]
fn a_token_may_only_name_configured_kinds() {
    let known = ["doc".to_owned(), "room".to_owned()];
    for (pattern, fine) in [
        ("*", true),
        ("room:*", true),
        ("room:a", true),
        ("ro*", true),
        ("doc:plan-*", true),
        ("rom:*", false),
        ("rooms*", false),
        ("roo:a", false),
        ("greenroom-canary:node", false),
    ] {
        let args = token_args(&["--sub", "a", "--allow", &format!("{pattern}=read")]);
        let checked = token::check_kinds(&args, &known);
        assert_eq!(checked.is_ok(), fine, "{pattern}");
        assert!(
            checked.err().is_none_or(|why| why.contains(pattern) && why.contains("`doc`, `room`"))
        );
    }
}

#[test]
fn a_token_that_no_server_accepts_is_not_made() {
    let grants = |count: usize, length: usize| {
        (0..count)
            .flat_map(|i| ["--allow".to_owned(), format!("room:{i:03}{}=read", "x".repeat(length))])
            .collect::<Vec<_>>()
    };
    let mint = |count, length| {
        let grants = grants(count, length);
        let line: Vec<&str> =
            ["--sub", "alice"].into_iter().chain(grants.iter().map(String::as_str)).collect();
        token::mint(&token_args(&line), &with_secret(), NOW)
    };
    assert!(
        mint(256, 60).unwrap().len() > 24 * 1024,
        "the maximum number of patterns, of usual length"
    );
    assert!(mint(257, 1).unwrap_err().to_string().contains("more than 256"));
    assert!(mint(256, 125).unwrap_err().to_string().contains("servers accept at most 32768"));
}
