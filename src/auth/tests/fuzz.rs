//! Random tokens: only what the key has signed is believed, and only if the claims are valid.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

fn any_claim() -> impl Strategy<Value = Value> {
    let past = SECONDS - 60;
    let future = SECONDS + 60;
    let telling = [
        json!(null),
        json!(0),
        json!(-1),
        json!(past),
        json!(future),
        json!(future as f64 + 0.5),
        json!(1e300),
        json!(u64::MAX),
        json!(true),
        json!(""),
        json!("alice"),
        json!("anon-x"),
        json!("a\nb"),
        json!("x".repeat(1000)),
        json!("ü"),
        json!([]),
        json!({}),
        json!(future.to_string()),
        json!({"room:*": ["read"]}),
        json!({"room:*": ["fly"]}),
        json!({"*": "read"}),
        json!({"": []}),
        json!(["read"]),
    ];
    select(telling.to_vec())
}

/// What docs/protocol.md and docs/configuration.md say about claims, implemented in the plainest
/// way.
fn acceptable(claims: &Value) -> bool {
    let seconds =
        |name: &str| claims.get(name).map(|claim| claim.as_f64().filter(|seconds| *seconds >= 0.0));
    let now = SECONDS as f64;
    let leeway = 5.0;
    let lives = seconds("exp").flatten().is_some_and(|exp| exp + leeway > now);
    let begun = seconds("nbf").is_none_or(|nbf| nbf.is_some_and(|nbf| nbf <= now + leeway));
    let named = claims["sub"].as_str().is_some_and(|sub| {
        !sub.is_empty()
            && sub.len() <= greenroom_protocol::limits::MAX_USER
            && !sub.starts_with("anon-")
            && !sub.chars().any(char::is_control)
    });
    let rights = match &claims["capabilities"] {
        Value::Null => true,
        Value::Object(patterns) => patterns.iter().all(|(pattern, permissions)| {
            !pattern.is_empty()
                && permissions
                    .as_array()
                    .is_some_and(|names| names.iter().all(|name| name == "read"))
        }),
        _ => false,
    };
    lives && begun && named && rights
}

proptest! {
    /// Any change to a token makes a different one, which nobody has signed.
    #[test]
    fn a_changed_token_is_refused(changes in prop::collection::vec((any::<Index>(), "[A-Za-z0-9_.=-]{0,2}", 0usize..2), 1..4)) {
        let signed = hs256().sign(&claims()).unwrap();
        let mut changed = signed.clone();
        for (at, new, gone) in &changes {
            let at = at.index(changed.len() + 1);
            let end = changed.len().min(at + gone);
            changed.replace_range(at..end, new);
        }
        prop_assert_eq!(authenticate(&with_secret(), &changed).is_ok(), changed == signed, "{}", changed);
    }

    #[test]
    fn noise_is_refused(token in "\\PC{0,60}|[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}") {
        prop_assert!(authenticate(&with_secret(), &token).is_err());
    }

    /// A signed token is accepted only if each claim is valid.
    #[test]
    fn claims_against_an_oracle(
        changes in prop::collection::btree_map(select(vec!["sub", "exp", "nbf", "capabilities", "other"]), any_claim(), 0..4),
    ) {
        let mut claims = claims();
        for (name, claim) in &changes {
            claims[*name] = claim.clone();
        }
        let got = authenticate(&with_secret(), &hs256().sign(&claims).unwrap());
        prop_assert_eq!(got.is_ok(), acceptable(&claims), "{}: {:?}", claims, got);
    }

    /// A token signed with another key is refused, whatever its header says.
    #[test]
    fn another_key_is_refused(secret in "[a-z0-9]{32,64}", kid in "[a-z]{0,5}", algorithm in select(vec!["HS256", "HS384", "none", "RS256", "hs256"])) {
        prop_assume!(secret != SECRET);
        let signed = Signer::secret(secret.as_bytes()).sign(&claims()).unwrap();
        prop_assert!(authenticate(&with_secret(), &signed).is_err());
        // The right key's signature does not fit a different header.
        let good = hs256().sign(&claims()).unwrap();
        let header = json!({"typ": "JWT", "alg": algorithm, "kid": kid}).to_string();
        let forged = format!("{}.{}", base64_url(header.as_bytes()), good.split_once('.').unwrap().1);
        prop_assert_eq!(authenticate(&with_secret(), &forged).is_ok(), forged == good, "{}", forged);
    }
}

/// Base64 as tokens use it: RFC 4648, section 5, without padding.
fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        out.extend(
            (0..=chunk.len()).map(|at| char::from(ALPHABET[(bits >> (18 - 6 * at)) as usize & 63])),
        );
    }
    out
}
