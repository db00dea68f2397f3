use greenroom_protocol::{ErrorCode, Message, RequestId, Seq, ServerMessage, WireError};

use crate::{Golden, check};

fn error(golden: &mut Golden, name: &str, id: Option<&RequestId>, want: WireError) {
    check(
        golden,
        name,
        |codec, out| codec.encode(&Message::error(id, &want), out),
        |codec, bytes| match codec.decode_server(bytes).unwrap() {
            ServerMessage::Error { id: got, error } => {
                assert_eq!(got.as_ref(), id);
                assert_eq!(error, want, "{name}");
            }
            other => panic!("{name}: {other:?}"),
        },
    );
}

#[test]
fn errors() {
    let mut golden = Golden::open("errors.txt");
    let id = RequestId::Text("a-1".into());
    for &code in ErrorCode::ALL {
        let plain = WireError::new(code, "what was wrong");
        let full = match code {
            ErrorCode::Conflict => plain.at_seq(Seq::new(58)),
            ErrorCode::Rejected => plain.reason("test_failed"),
            ErrorCode::RateLimited => plain.retry_after_ms(250).reason("user"),
            ErrorCode::Overloaded | ErrorCode::Unavailable | ErrorCode::ShuttingDown => {
                plain.retry_after_ms(1000)
            }
            _ => plain,
        };
        error(&mut golden, code.as_str(), Some(&id), full);
    }
    error(
        &mut golden,
        "parse_error, without an id",
        None,
        WireError::new(ErrorCode::ParseError, "what was wrong"),
    );
    golden.finish();
}
