use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use greenroom_protocol::ErrorCode;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{DecodingKey, EncodingKey, Header};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::mint::Signer;
use super::*;
use crate::config::{Algorithm, Anonymous, AnonymousUsers, Secret};

mod fuzz;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const CLIENT: &str = "01KAMZ6ZV8QJ5C1X3W0Y7RTB2N";
const NOW: Millis = 1_763_800_000_000;
const SECONDS: u64 = NOW / 1000;

/// A key pair in PEM.
struct Pair {
    algorithm: Algorithm,
    private: String,
    public: String,
}

impl Pair {
    fn new(algorithm: Algorithm) -> Self {
        let (private, public): (Vec<u8>, Vec<u8>) = match algorithm {
            Algorithm::RS256 => {
                let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
                let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap();
                (
                    private.as_ref().into(),
                    AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key())
                        .unwrap()
                        .as_ref()
                        .into(),
                )
            }
            Algorithm::ES256 => {
                let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
                let private = key.to_pkcs8v1().unwrap();
                (
                    private.as_ref().into(),
                    AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key())
                        .unwrap()
                        .as_ref()
                        .into(),
                )
            }
            Algorithm::EdDSA => {
                let key = Ed25519KeyPair::generate().unwrap();
                let private = key.to_pkcs8v1().unwrap();
                (
                    private.as_ref().into(),
                    AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key())
                        .unwrap()
                        .as_ref()
                        .into(),
                )
            }
            Algorithm::HS256 => panic!("HS256 has no key pair"),
        };
        let pem = |tag: &str, der| pem::encode(&pem::Pem::new(tag, der));
        Self { algorithm, private: pem("PRIVATE KEY", private), public: pem("PUBLIC KEY", public) }
    }

    fn signer(&self) -> Signer {
        Signer::private_key(self.private.as_bytes(), self.algorithm).unwrap()
    }

    /// The public half as a JWK.
    fn jwk(&self, kid: &str) -> Value {
        let public = match self.algorithm {
            Algorithm::RS256 => DecodingKey::from_rsa_pem(self.public.as_bytes()),
            Algorithm::ES256 => DecodingKey::from_ec_pem(self.public.as_bytes()),
            _ => DecodingKey::from_ed_pem(self.public.as_bytes()),
        };
        let private = match self.algorithm {
            Algorithm::RS256 => EncodingKey::from_rsa_pem(self.private.as_bytes()),
            Algorithm::ES256 => EncodingKey::from_ec_pem(self.private.as_bytes()),
            _ => EncodingKey::from_ed_pem(self.private.as_bytes()),
        };
        assert!(public.is_ok());
        let mut jwk = Jwk::from_encoding_key(&private.unwrap(), self.algorithm.into()).unwrap();
        jwk.common.key_id = Some(kid.to_owned());
        serde_json::to_value(jwk).unwrap()
    }
}

fn hs256() -> Signer {
    Signer::secret(SECRET.as_bytes())
}

fn with_secret() -> AuthConfig {
    AuthConfig {
        secret: Some(Secret::new(SECRET)),
        anonymous: Anonymous::No,
        ..AuthConfig::default()
    }
}

/// Files with keys, and the configuration that names them.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn public_key(&self, pem: &str, algorithm: Algorithm) -> AuthConfig {
        AuthConfig {
            public_key_file: Some(self.write("key.pem", pem)),
            algorithm: Some(algorithm),
            ..AuthConfig::default()
        }
    }

    fn jwks(&self, keys: &[Value]) -> AuthConfig {
        AuthConfig {
            jwks_file: Some(self.write("keys.json", &json!({"keys": keys}).to_string())),
            ..AuthConfig::default()
        }
    }
}

fn claims() -> Value {
    json!({"sub": "alice", "exp": SECONDS + 60})
}

/// `claims()` with some of them changed; null removes one.
fn changed(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims
}

fn authenticate(config: &AuthConfig, token: &str) -> Result<Identity, AuthError> {
    Authenticator::new(config, AnonymousUsers::Refused).unwrap().authenticate(
        Some(token),
        CLIENT,
        NOW,
    )
}

/// The error for a token with `claims`, signed with the secret.
fn refusal(config: &AuthConfig, claims: &Value) -> AuthError {
    authenticate(config, &hs256().sign(claims).unwrap()).unwrap_err()
}

#[test]
fn a_good_token_names_its_user() {
    let claims = changed(
        &json!({"capabilities": {"room:*": ["read", "send"], "doc:plan-*": ["read"]}, "nbf": SECONDS, "other": [1]}),
    );
    let identity = authenticate(&with_secret(), &hs256().sign(&claims).unwrap()).unwrap();
    assert_eq!((&*identity.user, identity.anonymous), ("alice", false));
    assert_eq!(identity.expires_at, Some(NOW + 60_000 + 5_000), "the expiry plus the leeway");
    let may = |entity: &str| {
        identity.capabilities.permissions(&entity.parse().unwrap()).names().collect::<Vec<_>>()
    };
    assert_eq!(may("doc:plan-7"), ["read"]);
    assert!(may("doc:other").is_empty());
}

#[test]
fn every_algorithm_works_only_with_its_own_key() {
    let files = Files::new();
    let pairs = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
        .map(|algorithm| (Pair::new(algorithm), Pair::new(algorithm)));
    for (pair, stranger) in &pairs {
        let config = files.public_key(&pair.public, pair.algorithm);
        let good = pair.signer().sign(&claims()).unwrap();
        assert_eq!(&*authenticate(&config, &good).unwrap().user, "alice", "{:?}", pair.algorithm);
        assert_eq!(
            authenticate(&config, &stranger.signer().sign(&claims()).unwrap()),
            Err(AuthError::BadSignature),
            "{:?}",
            pair.algorithm
        );
        for (other, _) in pairs.iter().filter(|(other, _)| other.algorithm != pair.algorithm) {
            let token = other.signer().sign(&claims()).unwrap();
            assert_eq!(
                authenticate(&config, &token),
                Err(AuthError::WrongAlgorithm),
                "{:?} for {:?}",
                other.algorithm,
                pair.algorithm
            );
        }
        assert_eq!(authenticate(&with_secret(), &good), Err(AuthError::WrongAlgorithm));
        // The classic attack: the public key, which is not secret, used as an HMAC secret.
        let forged = Signer::secret(pair.public.as_bytes()).sign(&claims()).unwrap();
        assert_eq!(authenticate(&config, &forged), Err(AuthError::WrongAlgorithm));
    }
}

#[test]
fn a_token_signed_with_another_secret_is_refused() {
    assert!(authenticate(&with_secret(), &hs256().sign(&claims()).unwrap()).is_ok());
    let other = Signer::secret(b"another secret, which is as long as it has to be")
        .sign(&claims())
        .unwrap();
    assert_eq!(authenticate(&with_secret(), &other), Err(AuthError::BadSignature));
    let longer = jsonwebtoken::encode(
        &Header::new(jsonwebtoken::Algorithm::HS512),
        &claims(),
        &EncodingKey::from_secret(SECRET.as_bytes()),
    )
    .unwrap();
    assert_eq!(authenticate(&with_secret(), &longer), Err(AuthError::WrongAlgorithm));
}

#[test]
fn anything_but_a_signed_token_is_refused() {
    let good = hs256().sign(&claims()).unwrap();
    let [header, body, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("{good}")
    };
    let encoded = |value: &Value| {
        let token =
            jsonwebtoken::encode(&Header::default(), value, &EncodingKey::from_secret(b"x"))
                .unwrap();
        token.split('.').nth(1).unwrap().to_owned()
    };
    let none = encoded(&json!({"alg": "none", "typ": "JWT"}));
    let critical = encoded(&json!({"alg": "HS256", "crit": ["b64"], "b64": false}));
    for (token, error) in [
        (String::new(), AuthError::Malformed),
        ("garbage".into(), AuthError::Malformed),
        ("a.b.c".into(), AuthError::Malformed),
        ("..".into(), AuthError::Malformed),
        ("é.é.é".into(), AuthError::Malformed),
        (format!("{header}.{body}"), AuthError::Malformed),
        (format!("{header}.{body}."), AuthError::BadSignature),
        (format!("{good}.x"), AuthError::Malformed),
        (format!("{none}.{body}."), AuthError::Malformed),
        (format!("{none}.{body}.{signature}"), AuthError::Malformed),
        (format!("{critical}.{body}.{signature}"), AuthError::Malformed),
        (
            format!(
                "{header}.{}.{signature}",
                encoded(&json!({"sub": "mallory", "exp": SECONDS + 60}))
            ),
            AuthError::BadSignature,
        ),
        ("x".repeat(MAX_TOKEN_BYTES + 1), AuthError::TooLong),
    ] {
        assert_eq!(authenticate(&with_secret(), &token), Err(error.clone()), "{token}");
        assert_eq!(error.code(), ErrorCode::Unauthorized);
        assert!(
            token.is_empty() || !error.to_string().contains(&token),
            "the message repeats the token"
        );
    }
    let array = jsonwebtoken::encode(
        &Header::default(),
        &json!(["alice"]),
        &EncodingKey::from_secret(SECRET.as_bytes()),
    )
    .unwrap();
    assert_eq!(authenticate(&with_secret(), &array), Err(AuthError::Malformed));
}

#[test]
fn a_token_is_valid_in_its_time_plus_leeway() {
    let config = with_secret();
    for (change, error) in [
        (json!({"exp": SECONDS - 5}), Some(AuthError::Expired)),
        (json!({"exp": SECONDS - 4}), None),
        (json!({"exp": SECONDS as f64 - 4.5}), None),
        (json!({"exp": 0}), Some(AuthError::Expired)),
        (json!({"exp": 1e300}), None),
        (json!({"nbf": SECONDS + 5}), None),
        (json!({"nbf": SECONDS + 6}), Some(AuthError::NotYetValid)),
    ] {
        let token = hs256().sign(&changed(&change)).unwrap();
        assert_eq!(authenticate(&config, &token).err(), error, "{change}");
    }
    assert_eq!(AuthError::Expired.code(), ErrorCode::TokenExpired);
    assert_eq!(AuthError::NotYetValid.code(), ErrorCode::Unauthorized);
    let exact = AuthConfig { leeway: std::time::Duration::ZERO, ..with_secret() };
    assert_eq!(refusal(&exact, &changed(&json!({"exp": SECONDS}))), AuthError::Expired);
    assert_eq!(refusal(&exact, &changed(&json!({"nbf": SECONDS + 1}))), AuthError::NotYetValid);
}

#[test]
fn missing_or_wrong_claims_are_named() {
    for (change, message) in [
        (json!({"sub": null}), "`sub` is missing"),
        (json!({"sub": ""}), "`sub` is empty"),
        (json!({"sub": 7}), "`sub` is not a string"),
        (json!({"sub": "x".repeat(257)}), "`sub` is over 256 bytes"),
        (json!({"sub": "anon-1"}), "`sub` starts with `anon-`"),
        (json!({"sub": "a\nb"}), "`sub` contains control characters"),
        (json!({"exp": null}), "`exp` is missing"),
        (json!({"exp": "tomorrow"}), "`exp` is not a time"),
        (json!({"exp": -1}), "`exp` is not a time"),
        (json!({"nbf": "now"}), "`nbf` is not a time"),
        (json!({"capabilities": ["read"]}), "`capabilities` are not valid"),
        (json!({"capabilities": {"room:*": ["write"]}}), "`write` is no permission"),
        (json!({"capabilities": {"room:*:x": ["read"]}}), "`capabilities` are not valid"),
    ] {
        let error = refusal(&with_secret(), &changed(&change));
        assert!(error.to_string().contains(message), "{change}: {error}");
        assert_eq!(error.code(), ErrorCode::Unauthorized);
    }
    let longest = hs256().sign(&changed(&json!({"sub": "x".repeat(256)}))).unwrap();
    assert!(authenticate(&with_secret(), &longest).is_ok());
    let endless = AuthConfig { require_exp: false, ..with_secret() };
    let token = hs256().sign(&changed(&json!({"exp": null}))).unwrap();
    assert_eq!(authenticate(&endless, &token).unwrap().expires_at, None);
}

#[test]
fn issuer_and_audience_are_checked_if_configured() {
    let config = AuthConfig {
        issuer: Some("https://login.test".into()),
        audience: Some("greenroom".into()),
        ..with_secret()
    };
    let fit = |iss: Value, aud: Value| {
        authenticate(&config, &hs256().sign(&changed(&json!({"iss": iss, "aud": aud}))).unwrap())
    };
    assert!(fit("https://login.test".into(), "greenroom".into()).is_ok());
    assert!(fit("https://login.test".into(), json!(["other", "greenroom"])).is_ok());
    for (iss, aud, claim) in [
        (json!("https://other.test"), json!("greenroom"), "iss"),
        (Value::Null, json!("greenroom"), "iss"),
        (json!("https://login.test"), json!("other"), "aud"),
        (json!("https://login.test"), json!([]), "aud"),
        (json!("https://login.test"), Value::Null, "aud"),
    ] {
        assert!(
            matches!(fit(iss, aud), Err(AuthError::Claim { claim: named, .. }) if named == claim),
            "{claim}"
        );
    }
    let token = hs256().sign(&changed(&json!({"iss": "x", "aud": "y"}))).unwrap();
    assert!(authenticate(&with_secret(), &token).is_ok(), "not checked unless configured");
}

#[test]
fn a_key_set_is_searched_by_kid() {
    let files = Files::new();
    let rsa = Pair::new(Algorithm::RS256);
    let ec = Pair::new(Algorithm::ES256);
    let ed = Pair::new(Algorithm::EdDSA);
    let encryption = json!({"kty": "RSA", "use": "enc", "kid": "enc", "n": "AQAB", "e": "AQAB"});
    let config = files.jwks(&[rsa.jwk("r"), ec.jwk("e"), ed.jwk("d"), encryption]);
    assert_eq!(Authenticator::new(&config, AnonymousUsers::Refused).unwrap().key_count(), 3);
    let sign = |pair: &Pair, kid: Option<&str>| {
        pair.signer().with_kid(kid.map(str::to_owned)).sign(&claims()).unwrap()
    };
    for (pair, kid) in [(&rsa, "r"), (&ec, "e"), (&ed, "d")] {
        assert_eq!(
            authenticate(&config, &sign(pair, Some(kid))).map(|identity| identity.user.to_string()),
            Ok("alice".into()),
            "{kid}"
        );
    }
    for (token, error) in [
        (sign(&rsa, Some("x")), AuthError::UnknownKey),
        (sign(&rsa, Some("enc")), AuthError::UnknownKey),
        (sign(&rsa, None), AuthError::UnknownKey),
        (sign(&rsa, Some("e")), AuthError::WrongAlgorithm),
        (sign(&Pair::new(Algorithm::EdDSA), Some("d")), AuthError::BadSignature),
    ] {
        assert_eq!(authenticate(&config, &token), Err(error));
    }
    let only = files.jwks(&[ed.jwk("d")]);
    assert!(
        authenticate(&only, &sign(&ed, None)).is_ok(),
        "the `kid` may be left out if there is only one key"
    );
}

#[test]
fn unusable_keys_prevent_the_start() {
    let files = Files::new();
    let rsa = Pair::new(Algorithm::RS256);
    let ec = Pair::new(Algorithm::ES256);
    let short = json!({"kty": "oct", "kid": "s", "k": "c2hvcnQ"});
    let foreign = json!({"kty": "OKP", "crv": "X25519", "kid": "x", "x": "AQAB"});
    let missing = AuthConfig { secret_file: Some("/no/such/file".into()), ..AuthConfig::default() };
    let brief =
        AuthConfig { secret_file: Some(files.write("secret", "short\n")), ..AuthConfig::default() };
    let text = AuthConfig { jwks_file: Some(files.write("text", "keys")), ..AuthConfig::default() };
    let twice = AuthConfig {
        jwks_file: Some(
            files.write("twice", &json!({"keys": [rsa.jwk("a"), ec.jwk("a")]}).to_string()),
        ),
        ..AuthConfig::default()
    };
    let weak = AuthConfig {
        jwks_file: Some(files.write("weak", &json!({"keys": [short]}).to_string())),
        ..AuthConfig::default()
    };
    for (config, message) in [
        (missing, "cannot read `/no/such/file`"),
        (brief, "`auth.secret_file` has 5 bytes"),
        (
            files.public_key(&rsa.public, Algorithm::ES256),
            "does not hold a PEM public key for ES256",
        ),
        (text, "is not a JSON Web Key Set"),
        (twice, "holds two keys with `kid` `a`"),
        (weak, "holds a secret of fewer than 32 bytes"),
        (files.jwks(&[foreign]), "holds no key for"),
    ] {
        let error = Authenticator::new(&config, AnonymousUsers::Refused).unwrap_err().to_string();
        assert!(error.contains(message), "{message}: {error}");
    }
}

#[test]
fn anonymous_users_are_admitted_if_allowed() {
    let admitted = |anonymous| {
        Authenticator::new(&with_secret(), anonymous).unwrap().authenticate(None, CLIENT, NOW)
    };
    assert_eq!(admitted(AnonymousUsers::Refused), Err(AuthError::TokenRequired));
    let identity = admitted(AnonymousUsers::Admitted).unwrap();
    assert!(
        identity.anonymous && identity.expires_at.is_none() && identity.capabilities.is_empty()
    );
}

#[test]
fn a_returning_anonymous_user_is_the_same_user() {
    let open = Authenticator::new(&AuthConfig::default(), AnonymousUsers::Admitted).unwrap();
    let user = |client: &str| open.authenticate(None, client, NOW).unwrap().user;
    assert_eq!(user(CLIENT), user(CLIENT));
    assert_ne!(user(CLIENT), user("01KAMZ6ZV8QJ5C1X3W0Y7RTB2P"));
    assert!(
        user(CLIENT).starts_with(ANONYMOUS_PREFIX)
            && user(CLIENT).len() == ANONYMOUS_PREFIX.len() + 16,
        "{}",
        user(CLIENT)
    );
    assert!(!user(CLIENT).contains(CLIENT), "the client id is the client's secret");
}

#[test]
fn a_bad_token_does_not_make_anyone_anonymous() {
    let open = Authenticator::new(&with_secret(), AnonymousUsers::Admitted).unwrap();
    assert_eq!(open.authenticate(Some("garbage"), CLIENT, NOW), Err(AuthError::Malformed));
    let keyless = Authenticator::new(&AuthConfig::default(), AnonymousUsers::Admitted).unwrap();
    assert_eq!(
        keyless.authenticate(Some(&hs256().sign(&claims()).unwrap()), CLIENT, NOW),
        Err(AuthError::TokensOff)
    );
}
