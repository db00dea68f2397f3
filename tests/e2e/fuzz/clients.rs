//! Random client ids, compared with the definition of a ULID.

use fastrand::Rng;
use greenroom_protocol::CodecKind;
use serde_json::json;

use super::{cases, rng};
use crate::server::Server;

const ALPHABET: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// A time in 2020, encoded as the first characters of a ULID.
const PAST: &str = "01DXF6DT00";

fn candidate(rng: &mut Rng) -> String {
    let letters: Vec<char> = ALPHABET.chars().collect();
    let mut id: Vec<char> = PAST.chars().chain((0..16).map(|_| letters[rng.usize(..32)])).collect();
    match rng.u8(..8) {
        0 | 1 => {}
        2 => id = id.iter().map(char::to_ascii_lowercase).collect(),
        // Letters that Crockford's alphabet leaves out, and characters that are not letters. Not in
        // the first position, which has 3 bits.
        3 => id[rng.usize(1..26)] = ['I', 'L', 'O', 'U', 'u', '-', ' ', 'é', '\0'][rng.usize(..9)],
        4 => id.truncate(rng.usize(..26)),
        5 => id.push('0'),
        // Far in the future: after the year 2100.
        6 => id[0] = ['1', '5', '7'][rng.usize(..3)],
        _ => id = (0..rng.usize(..40)).map(|_| rng.char(..)).collect(),
    }
    id.into_iter().collect()
}

/// A ULID has 26 characters of the alphabet in either case, for 128 bits. Its time may be in the
/// future.
fn is_ulid(id: &str) -> bool {
    let upper = id.to_ascii_uppercase();
    id.len() == 26
        && upper.chars().all(|letter| ALPHABET.contains(letter))
        && upper.as_bytes()[0] <= b'7'
}

#[tokio::test]
async fn client_ids_must_be_ulids() {
    let mut rng = rng();
    let mut server = Server::builder().unlimited().start().await;
    let mut seen = [0, 0];
    for case in 0..cases(150) {
        let id = candidate(&mut rng);
        let mut client = server.open(CodecKind::ALL[case % 2]).await;
        match client.call("connect", json!({"client": id})).await {
            Ok(hello) => {
                assert!(is_ulid(&id), "case {case}: `{id}` was accepted");
                assert_eq!(hello["client"], id.to_ascii_uppercase(), "one spelling for one id");
                seen[0] += 1;
            }
            Err(error) => {
                assert!(!is_ulid(&id), "case {case}: `{id}` was refused: {error}");
                assert_eq!(error["data"]["code"], "invalid_params", "{error}");
                seen[1] += 1;
            }
        }
    }
    assert!(seen.iter().all(|seen| *seen > 0), "both outcomes occurred: {seen:?}");
    server.assert_serves().await;
}
