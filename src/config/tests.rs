use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use figment::value::Value;
use greenroom_actors::behaviour::document::{DocumentConfig, Initial};
use greenroom_actors::behaviour::room::RoomConfig;
use greenroom_actors::behaviour::{BehaviourConfig, BehaviourName};
use greenroom_actors::capability::Permissions;
use greenroom_actors::kind::{Kinds, Settings};
use greenroom_protocol::RawJson;

use super::ClusterConfig;
use super::load::{DEFAULT_FILE, load_from};
use super::*;

mod fuzz;

/// A directory with a `greenroom.toml`, an environment, and flags.
#[derive(Default)]
struct Setup {
    file: Option<&'static str>,
    environment: &'static [(&'static str, &'static str)],
    flags: &'static [(&'static str, &'static str, &'static str)],
}

impl Setup {
    fn load(&self) -> Result<Loaded, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        if let Some(text) = self.file {
            std::fs::write(directory.path().join(DEFAULT_FILE), text).unwrap();
        }
        let flags = self
            .flags
            .iter()
            .map(|(key, flag, value)| (*key, *flag, (*value).to_owned()))
            .collect();
        let environment = self
            .environment
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        load_from(&Overrides { file: None, flags }, directory.path(), environment)
    }

    fn config(&self) -> Config {
        self.load().unwrap().config
    }

    fn kinds(&self) -> Kinds {
        self.config().kinds().unwrap()
    }

    /// The messages without the path of the temporary directory.
    fn errors(&self) -> Vec<String> {
        self.load()
            .unwrap_err()
            .reasons()
            .iter()
            .map(|message| without_directory(message))
            .collect()
    }
}

fn without_directory(message: &str) -> String {
    match (message.rfind("`/"), message.rfind(DEFAULT_FILE)) {
        (Some(start), Some(end)) if start < end => {
            format!("{}{}", &message[..=start], &message[end..])
        }
        _ => message.to_owned(),
    }
}

fn file(text: &'static str) -> Setup {
    Setup { file: Some(text), ..Setup::default() }
}

fn environment(environment: &'static [(&'static str, &'static str)]) -> Setup {
    Setup { environment, ..Setup::default() }
}

#[test]
fn nothing_has_to_be_configured() {
    let loaded = Setup::default().load().unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.file, None);
    assert!(loaded.config.worker_count() >= 1);
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let mut setup = file(
        "workers = 1\nlisten = '127.0.0.1:1'\n[metrics]\nlisten = '127.0.0.1:9'\n[socket]\nping_interval = '1s'",
    );
    setup.environment = &[
        ("GREENROOM_WORKERS", "2"),
        ("GREENROOM_LISTEN", "localhost:2"),
        ("GREENROOM_SOCKET__PING_INTERVAL", "2s"),
    ];
    setup.flags = &[("workers", "--workers", "3")];
    let config = setup.config();
    assert_eq!(config.worker_count(), 3);
    assert_eq!(config.listen, "127.0.0.1:2".parse::<std::net::SocketAddr>().unwrap());
    assert_eq!(config.socket.ping_interval, Duration::from_secs(2));
    assert_eq!(config.metrics.listen, "127.0.0.1:9".parse().ok());
    assert_eq!(config.socket.idle_timeout, SocketConfig::default().idle_timeout);
}

#[test]
fn the_environment_knows_each_keys_type() {
    let config = environment(&[
        ("GREENROOM_STORE__URL", "ws://db:8000"),
        ("GREENROOM_STORE__USERNAME", "7"),
        ("GREENROOM_STORE__PASSWORD", "007"),
        ("GREENROOM_SOCKET__MAX_MESSAGE_BYTES", "131072"),
        ("GREENROOM_SOCKET__OUTBOX_BYTES", "1MiB"),
        ("GREENROOM_SOCKET__ALLOWED_ORIGINS", "https://a.test, https://b.test"),
        ("GREENROOM_LIMITS__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]"),
        ("GREENROOM_AUTH__ANONYMOUS", "true"),
        ("GREENROOM_AUTH__REQUIRE_EXP", "false"),
        ("GREENROOM_METRICS__LISTEN", ""),
        ("GREENROOM_KINDS__POLL__BEHAVIOUR", "document"),
        ("GREENROOM_KINDS__POLL__MAX_DEPTH", "3"),
        ("GREENROOM_KINDS__POLL__DEFAULT_PERMISSIONS", "read"),
        ("GREENROOM_KINDS__POLL__IDLE_TIMEOUT", "5s"),
        ("GREENROOM_KINDS__POLL__MAX_STATE_BYTES", "2048"),
        ("GREENROOM_KINDS__POLL__INITIAL", "{votes = {a = 0}}"),
    ])
    .config();
    assert_eq!(config.store.username.as_deref(), Some("7"));
    assert_eq!(config.store.password.unwrap().expose(), "007");
    assert_eq!((config.socket.max_message_bytes, config.socket.outbox_bytes), (131_072, 1 << 20));
    assert_eq!(config.socket.allowed_origins, ["https://a.test", "https://b.test"]);
    assert_eq!(config.limits.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!((config.auth.anonymous, config.auth.require_exp), (Anonymous::Yes, false));
    assert_eq!(config.metrics.listen, None);
    let poll = &config.kinds["poll"];
    let BehaviourConfig::Document(document) = &poll.behaviour else {
        panic!("{:?}", poll.behaviour)
    };
    assert_eq!(document.initial, begins(r#"{"votes":{"a":0}}"#));
    assert_eq!((document.max_state_bytes, document.max_depth), (2048, 3));
    assert_eq!(poll.settings.idle_timeout, Duration::from_secs(5));
    assert_eq!(poll.settings.default_permissions, Permissions::READ);
}

fn begins(json: &str) -> Initial {
    Initial::new(&RawJson::from_text(json).unwrap()).unwrap()
}

#[test]
fn variables_of_orchestrators_are_ignored_but_typos_are_reported() {
    let loaded = environment(&[
        ("GREENROOM_PORT", "tcp://10.0.0.1:8080"),
        ("GREENROOM_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("GREENROOM_SERVICE_HOST", "10.0.0.1"),
        ("GREENROOM_METRICS_SERVICE_PORT_HTTP", "9464"),
        ("GREENROOM_DATA", "../data"),
        ("GREENROOM_LISTN", "127.0.0.1:1"),
        ("PATH", "/bin"),
    ])
    .load()
    .unwrap();
    assert_eq!(loaded.ignored, ["GREENROOM_LISTN"]);
    assert_eq!(loaded.config, Config::default());
}

#[test]
fn a_wrong_value_is_reported_with_its_key_its_place_and_what_would_be_right() {
    for (setup, parts) in [
        (
            file("[socket]\nping = '1s'"),
            &["`socket.ping` is not a key", "`ping_interval`", "(set in `greenroom.toml`)"][..],
        ),
        (
            file("[sockets]\nping = '1s'"),
            &["`sockets` is not a key", "`socket`", "(set in `greenroom.toml`)"],
        ),
        (
            file("[socket]\nping_interval = 25"),
            &[
                "`socket.ping_interval` is 25; it must be a duration",
                "\"25s\"",
                "(set in `greenroom.toml`)",
            ],
        ),
        (
            file("[socket]\nmax_frame_bytes = 'big'"),
            &["`socket.max_frame_bytes` is \"big\"; it must be a size", "\"64KiB\""],
        ),
        (file("workers = -1"), &["`workers` is -1"]),
        (
            file("listen = 'example.org:80'"),
            &["`listen` is \"example.org:80\"; it must be an IP address with a port"],
        ),
        (
            file("[log]\nformat = 'xml'"),
            &["`log.format` is \"xml\"; it must be one of \"text\", \"json\""],
        ),
        (
            file("[auth]\nanonymous = 'maybe'"),
            &["`auth.anonymous` is \"maybe\"; it must be \"auto\", true or false"],
        ),
        (file("[auth]\nsecret = 12345"), &["`auth.secret` is of another type"]),
        (
            file("[limits]\ntrusted_proxies = ['10.0.0.0/99']"),
            &["`limits.trusted_proxies", "10.0.0.0/99"],
        ),
        (file("[kinds.a]\nbehavior = 'room'"), &["`kinds.a.behavior` is not a key", "`behaviour`"]),
        (file("workers = \n"), &["`greenroom.toml` is not TOML", "line 1"]),
        (
            environment(&[("GREENROOM_SOCKET__PING", "1s")]),
            &[
                "`socket.ping` is not a key",
                "(set in environment variable `GREENROOM_SOCKET__PING`)",
            ],
        ),
        (
            environment(&[("GREENROOM_WORKERS", "many")]),
            &["`workers` is \"many\"", "(set in environment variable `GREENROOM_WORKERS`)"],
        ),
        (
            Setup { flags: &[("metrics.listen", "--metrics-listen", "9464")], ..Setup::default() },
            &[
                "`metrics.listen` is \"9464\"; it must be an IP address",
                "(set in flag `--metrics-listen`)",
            ],
        ),
    ] {
        let errors = setup.errors();
        assert_eq!(errors.len(), 1, "{errors:?}");
        for part in parts {
            assert!(errors[0].contains(part), "`{part}` is not in: {}", errors[0]);
        }
        assert!(!errors[0].contains("12345"), "{}", errors[0]);
    }
}

#[test]
fn everything_that_cannot_work_is_reported_at_once() {
    let mut setup = file(
        "[socket]\nmax_frame_bytes = '128KiB'\noutbox_bytes = '1KiB'\nidle_timeout = '25s'\nallowed_origins = ['a.test']\n\
         [limits]\nbytes_burst = '2KiB'\n[store]\nurl = 'postgres://x'\nusername = 'u'\n[log]\nfilter = 'x=y=z'\n[auth]\nleeway = '2m'",
    );
    setup.environment = &[("GREENROOM_METRICS__LISTEN", "127.0.0.1:8080")];
    let errors = setup.errors();
    let keys = [
        "metrics.listen",
        "log.filter",
        "store.url",
        "store.password_file",
        "socket.max_frame_bytes",
        "socket.idle_timeout",
        "socket.outbox_bytes",
        "socket.allowed_origins",
        "auth.anonymous",
        "auth.leeway",
        "limits.bytes_burst",
    ];
    for (error, key) in errors.iter().zip(keys) {
        assert!(error.starts_with(&format!("`{key}` ")), "{key}: {error}");
    }
    assert_eq!(errors.len(), keys.len(), "{errors:#?}");
    assert!(
        errors[0].ends_with("(set in environment variable `GREENROOM_METRICS__LISTEN`)"),
        "{}",
        errors[0]
    );
    assert!(errors[4].ends_with("(set in `greenroom.toml`)"), "{}", errors[4]);
}

#[test]
fn a_public_address_wants_a_decision_about_access() {
    let errors = environment(&[("GREENROOM_LISTEN", "0.0.0.0:8080")]).errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with("`auth.anonymous` is \"auto\""), "{errors:?}");
    assert!(file("[auth]\nanonymous = false").errors()[0].starts_with("`auth.anonymous` is false"));

    let decided =
        environment(&[("GREENROOM_LISTEN", "0.0.0.0:8080"), ("GREENROOM_AUTH__ANONYMOUS", "true")]);
    assert_eq!(decided.config().admission().anonymous, AnonymousUsers::Admitted);
}

#[test]
fn auto_admits_anonymous_users_only_on_a_local_server() {
    const SECRET: (&str, &str) = ("GREENROOM_AUTH__SECRET", "0123456789abcdef0123456789abcdef");
    use AnonymousUsers::{Admitted, Refused};
    type Row = (&'static [(&'static str, &'static str)], AnonymousUsers, &'static str);
    let table: &[Row] = &[
        (&[], Admitted, "nothing in the configuration"),
        (&[("GREENROOM_LISTEN", "127.0.0.1:0")], Admitted, "nothing in the configuration"),
        (&[("GREENROOM_LISTEN", "[::1]:8080")], Admitted, "nothing in the configuration"),
        (&[SECRET], Refused, "`auth.secret` is set"),
        (&[("GREENROOM_AUTH__SECRET_FILE", "secret")], Refused, "`auth.secret_file` is set"),
        (
            &[("GREENROOM_AUTH__PUBLIC_KEY_FILE", "key"), ("GREENROOM_AUTH__ALGORITHM", "ES256")],
            Refused,
            "`auth.public_key_file` is set",
        ),
        (&[("GREENROOM_AUTH__JWKS_FILE", "keys")], Refused, "`auth.jwks_file` is set"),
        (&[SECRET, ("GREENROOM_LISTEN", "0.0.0.0:8080")], Refused, "`auth.secret` is set"),
        (&[SECRET, ("GREENROOM_AUTH__ANONYMOUS", "true")], Admitted, "`auth.anonymous` is true"),
        (&[SECRET, ("GREENROOM_AUTH__ANONYMOUS", "false")], Refused, "`auth.anonymous` is false"),
    ];
    for (variables, anonymous, why) in table {
        let admission = Setup { environment: variables, ..Setup::default() }.config().admission();
        assert_eq!(admission.anonymous, *anonymous, "{variables:?}");
        assert!(admission.why.contains(why), "{variables:?}: {}", admission.why);
    }
    // Without a key these admit no users, which is reported as a mistake.
    for (name, value, why) in [
        ("GREENROOM_LIMITS__TRUSTED_PROXIES", "127.0.0.1/32", "`limits.trusted_proxies` is set"),
        (
            "GREENROOM_SOCKET__ALLOWED_ORIGINS",
            "https://app.example.org",
            "`socket.allowed_origins` is set",
        ),
        ("GREENROOM_LISTEN", "0.0.0.0:8080", "`listen` is not a loopback address"),
    ] {
        let errors = Setup { environment: vec![(name, value)].leak(), ..Setup::default() }.errors();
        assert!(
            errors.len() == 1
                && errors[0].starts_with("`auth.anonymous` is \"auto\"")
                && errors[0].contains(why),
            "{errors:?}"
        );
    }
}

#[test]
fn keys_for_tokens_are_checked() {
    for (setup, message) in [
        (
            file("[auth]\nsecret = 'short'"),
            "`auth.secret` has 5 bytes; an HS256 secret needs at least 32",
        ),
        (
            file("[auth]\nsecret_file = 'a'\njwks_file = 'b'"),
            "`auth.secret_file` and `auth.jwks_file` are both set",
        ),
        (file("[auth]\npublic_key_file = 'a'"), "`auth.algorithm` is not set"),
        (
            file("[auth]\npublic_key_file = 'a'\nalgorithm = 'HS256'"),
            "`auth.algorithm` is \"HS256\"",
        ),
        (file("[auth]\nalgorithm = 'RS256'"), "`auth.algorithm` is set without"),
    ] {
        let errors = setup.errors();
        assert!(errors.len() == 1 && errors[0].starts_with(message), "{errors:?}");
    }
}

#[test]
fn a_file_that_is_named_has_to_exist() {
    let overrides = Overrides { file: Some("/no/such/greenroom.toml".into()), flags: Vec::new() };
    let error = load_from(&overrides, Path::new("/"), []).unwrap_err().to_string();
    assert!(
        error.starts_with("the configuration is refused: cannot read `/no/such/greenroom.toml`"),
        "{error}"
    );
}

#[test]
fn store_urls_are_taken_apart() {
    let target = |url: &str| StoreConfig { url: url.into(), ..StoreConfig::default() }.target();
    assert_eq!(target("surrealkv://./data"), Ok(StoreUrl::SurrealKv("./data".into())));
    assert_eq!(
        target("surrealkv:///var/lib/greenroom"),
        Ok(StoreUrl::SurrealKv("/var/lib/greenroom".into()))
    );
    assert_eq!(target("memory"), Ok(StoreUrl::Memory));
    assert_eq!(target("wss://db.test:8000"), Ok(StoreUrl::Server("wss://db.test:8000".into())));
    for bad in [
        "",
        "surrealkv://",
        "data",
        "ws://",
        "ws://:8000",
        "http://db.test",
        "mem://",
        "surrealkv://data?sync=never",
    ] {
        assert!(target(bad).is_err(), "{bad}");
    }
    assert!(
        target("ws://root:hunter2@db.test")
            .is_err_and(|error| !error.to_string().contains("hunter2"))
    );
}

#[test]
fn kinds_reach_the_core_as_configured() {
    let kinds = file(
        "[kinds.lobby]\nbehaviour = 'room'\nmessages = 7\ndefault_permissions = ['read']\nanonymous_permissions = []\nmax_body_bytes = '1KiB'\n\
         [kinds.poll]\nbehaviour = 'document'\ninitial = {votes = {a = 0}}\nmax_depth = 3\nsnapshot_every = 5",
    )
    .kinds();
    assert!(kinds.get("room").is_none(), "configured kinds replace the default ones");
    let lobby = kinds.get("lobby").unwrap();
    let room = RoomConfig { messages: 7, ..RoomConfig::default() };
    assert_eq!(lobby.behaviour(), &BehaviourConfig::Room(room.into()));
    let settings = Settings {
        default_permissions: Permissions::READ,
        anonymous_permissions: Permissions::NONE,
        max_body_bytes: 1024,
        ..Settings::default()
    };
    assert_eq!(lobby.name(), "lobby");
    assert_eq!(***lobby, settings);
    let poll = kinds.get("poll").unwrap();
    let document = DocumentConfig {
        initial: begins(r#"{"votes":{"a":0}}"#),
        max_depth: 3,
        ..DocumentConfig::default()
    };
    assert_eq!(poll.behaviour(), &BehaviourConfig::Document(document));
    assert_eq!(***poll, Settings { snapshot_every: 5, ..Settings::default() });
}

#[test]
fn there_are_rooms_and_documents_by_default() {
    let kinds = Setup::default().kinds();
    assert_eq!(kinds.iter().count(), 2);
    for (name, behaviour) in [("room", BehaviourName::Room), ("doc", BehaviourName::Document)] {
        let kind = kinds.get(name).unwrap();
        assert_eq!(kind.behaviour(), &behaviour.with_defaults());
        assert_eq!(***kind, Settings::default());
        assert_eq!(kind.default_permissions, Permissions::READ | Permissions::SEND);
    }
    let document = DocumentConfig::default();
    assert_eq!(document.initial, begins("{}"));
    assert_eq!((document.max_state_bytes, document.max_depth), (1 << 20, 64));
}

#[test]
fn kinds_that_cannot_work_are_refused() {
    for (text, message) in [
        ("[kinds.a]\nmessages = 1", "`kinds.a.behaviour` is not set"),
        ("[kinds.A]\nbehaviour = 'room'", "`kinds.A` is not a valid name for a kind"),
        (
            "[kinds.a]\nbehaviour = 'room'\nmax_depth = 1",
            "`kinds.a.max_depth` belongs to the behaviour \"document\"",
        ),
        (
            "[kinds.a]\nbehaviour = 'document'\nmessages = 1",
            "`kinds.a.messages` belongs to the behaviour \"room\"",
        ),
        (
            "[kinds.a]\nbehaviour = 'room'\nmessages = 0",
            "`kinds.a.messages` is 0; it must be at least 1",
        ),
        (
            "[kinds.a]\nbehaviour = 'document'\nmax_depth = 101",
            "`kinds.a.max_depth` is 101; it must be from 1 to 100",
        ),
        (
            "[kinds.a]\nbehaviour = 'document'\nmax_depth = 1\ninitial = {a = {}}",
            "`kinds.a.initial` is nested 2 deep",
        ),
        (
            "[kinds.a]\nbehaviour = 'document'\ninitial = {a = [1.5, inf]}",
            "`kinds.a.initial` is refused: there is infinity or NaN in it",
        ),
        (
            "[kinds.a]\nbehaviour = 'document'\ninitial = -nan",
            "`kinds.a.initial` is refused: there is infinity or NaN in it",
        ),
        (
            "[kinds.a]\nbehaviour = 'room'\ndefault_permissions = ['write']",
            "`kinds.a.default_permissions` is refused: `write` is no permission; there are `read`, `send`",
        ),
        (
            "[kinds.a]\nbehaviour = 'room'\nmax_body_bytes = '64KiB'",
            "`kinds.a.max_body_bytes` is 64KiB, but a message",
        ),
        (
            "[kinds.a]\nbehaviour = 'room'\ndedupe_ops = 63",
            "`kinds.a.dedupe_ops` is 63, below `socket.max_in_flight` (64)",
        ),
        (
            "[kinds.a]\nbehaviour = 'room'\nkeep_events = 10",
            "`kinds.a.keep_events` is 10, below `resume_events` (1000)",
        ),
    ] {
        let errors = file(text).errors();
        assert!(errors.len() == 1 && errors[0].starts_with(message), "{message}: {errors:?}");
    }
}

/// Every key and its default in TOML; `None` if there is no default.
fn defaults() -> Vec<(String, Option<serde_json::Value>)> {
    let mut all = Vec::new();
    let config = Config { cluster: Some(ClusterConfig::default()), ..Config::default() };
    collect("", &Value::serialize(config).unwrap(), &mut all);
    all.retain(|(key, _)| key != "kinds");
    all.push(("kinds.NAME.behaviour".to_owned(), None));
    for (key, default) in kinds::defaults() {
        // Not split: the initial state of a document is one value.
        let default = serde_json::to_value(default).unwrap();
        all.push((format!("kinds.NAME.{key}"), Some(default)));
    }
    all
}

fn collect(path: &str, value: &Value, all: &mut Vec<(String, Option<serde_json::Value>)>) {
    match value {
        Value::Dict(_, dict) if !dict.is_empty() => {
            for (key, value) in dict {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(&path, value, all);
            }
        }
        Value::Empty(..) => all.push((path.to_owned(), None)),
        other => all.push((path.to_owned(), Some(serde_json::to_value(other).unwrap()))),
    }
}

#[test]
fn the_example_shows_every_default() {
    let text = include_str!("../../greenroom.toml");
    assert_eq!(
        toml::from_str::<Config>(text).unwrap(),
        Config::default(),
        "the shipped file has the defaults"
    );

    let uncommented: String = text
        .lines()
        .map(|line| {
            format!(
                "{}\n",
                line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)
            )
        })
        .collect();
    let mut config: Config = toml::from_str(&uncommented).unwrap();
    assert_eq!(config.kinds, kinds::default_kinds());
    config.kinds.clear();
    assert_eq!(config.cluster.take(), Some(ClusterConfig::default()));
    assert_eq!(config, Config::default());

    let shown = toml::from_str::<serde_json::Value>(&uncommented).unwrap();
    for (key, default) in
        defaults().iter().filter(|(key, default)| !key.starts_with("kinds") && default.is_some())
    {
        let found = key.split('.').try_fold(&shown, |value, part| value.get(part));
        assert_eq!(found, default.as_ref(), "{key}");
    }

    let kind = text.split_once("# [kinds.example]").unwrap().1;
    let kind: String =
        kind.lines().map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
    let kind: serde_json::Value = toml::from_str(&kind).unwrap();
    let known: BTreeMap<_, _> = defaults()
        .into_iter()
        .filter_map(|(key, default)| Some((key.strip_prefix("kinds.NAME.")?.to_owned(), default)))
        .collect();
    for (key, default) in &known {
        assert!(
            kind.get(key).is_some_and(|shown| default.as_ref().is_none_or(|d| d == shown)),
            "{key}"
        );
    }
    for key in kind.as_object().unwrap().keys() {
        assert!(known.contains_key(key), "the example shows `{key}`, which is not a key");
    }
}

#[test]
fn the_documentation_lists_every_key_with_its_default() {
    let text = include_str!("../../docs/configuration.md");
    let rows: BTreeMap<&str, Option<serde_json::Value>> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let default = Some(cells[2].trim_matches('`')).filter(|default| !default.is_empty());
            (
                cells[1].trim_matches('`'),
                default.map(|default| serde_json::from_str(default).unwrap()),
            )
        })
        .collect();
    let known = defaults();
    for (key, default) in &known {
        assert_eq!(rows.get(key.as_str()), Some(default), "{key}");
    }
    assert_eq!(rows.len(), known.len(), "the documentation lists keys that do not exist");
}
