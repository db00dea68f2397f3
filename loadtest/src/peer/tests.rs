use greenroom_protocol::CodecKind;
use greenroom_protocol::params::Subscribe;

use super::payload::What;
use super::*;
use crate::client::{Target, Tokens};
use crate::fake::{Fake, Fault};
use crate::run::subscribe;

async fn peer(
    server: &Fake,
    codec: CodecKind,
    subscriptions: Vec<Subscribe>,
    board: &Arc<Board>,
) -> Peer {
    let target =
        Target::new(&server.url(), codec, Tokens::Anonymous).await.expect("the URL is good");
    let (conn, subscribed) =
        Conn::open(&target, "ann".into(), subscriptions).await.expect("it opens");
    let check = subscribed.first().map(|s| Arc::new(Mutex::new(SeqCheck::after(s.seq))));
    Peer::new(conn, board.clone(), check)
}

fn plan(what: What, pace: Pace) -> Plan {
    let entities = ["room:a", "room:b"].map(|id| id.parse().expect("it is an entity id")).to_vec();
    Plan { payload: Payload::new(what, entities, 64), pace, in_flight: 8 }
}

/// Drives until the board has counted `acks`, or errors where `acks` is 0.
async fn drive(peer: Peer, mut plan: Plan, until: impl Fn(&Board) -> bool) -> Vec<u64> {
    let board = peer.ear.board.clone();
    board.open();
    let (stop, mut stopped) = watch::channel(false);
    let driving = tokio::spawn(async move { peer.drive(&mut plan, &mut stopped).await });
    while !until(&board) {
        tokio::task::yield_now().await;
    }
    stop.send(true).expect("the peer listens");
    driving.await.expect("driving does not panic").0
}

#[tokio::test]
async fn a_closed_loop_gets_every_op_acknowledged() {
    for codec in CodecKind::ALL {
        let server = Fake::start(Fault::None).await;
        let board = Arc::new(Board::default());
        let room = "room:a".parse().expect("it is an entity id");
        let listener = peer(&server, codec, vec![subscribe(&room)], &board).await;
        let check = listener.ear.check.clone().expect("it subscribed");
        let listening = tokio::spawn(listener.listen());
        let sender = peer(&server, codec, Vec::new(), &board).await;
        let acked =
            drive(sender, plan(What::Post, Pace::Closed), |board| board.ever(Lane::Ack) >= 100)
                .await;
        assert_eq!(acked.iter().sum::<u64>(), board.ever(Lane::Ack));
        assert!(acked[0].abs_diff(acked[1]) <= 1, "entities take turns: {acked:?}");
        while check.lock().expect("no holder panics").last() < acked[0] {
            tokio::task::yield_now().await;
        }
        assert!(check.lock().expect("no holder panics").verdict(acked[0]).is_clean());
        assert_eq!(board.ever(Lane::Delivery), acked[0], "only one of the rooms has a subscriber");
        assert_eq!(
            board.summary(Lane::Delivery).count,
            acked[0],
            "each event tells when it was meant to be sent"
        );
        assert_eq!(board.sent_ever(), board.ever(Lane::Ack));
        assert!(board.errors().is_empty(), "{:?}", board.errors());
        listening.abort();
    }
}

#[tokio::test]
async fn an_open_loop_catches_up_with_its_schedule() {
    let server = Fake::start(Fault::None).await;
    let board = Arc::new(Board::default());
    let sender = peer(&server, CodecKind::Json, Vec::new(), &board).await;
    let began = board.now_us();
    drive(sender, plan(What::Signal, Pace::open(began as f64, 5000.0)), |board| {
        board.ever(Lane::Ack) >= 200
    })
    .await;
    let most = (board.now_us() - began) / 200 + 1;
    assert!((200..=most).contains(&board.sent_ever()), "{} of at most {most}", board.sent_ever());
}

#[tokio::test]
async fn refusals_are_counted_and_their_wait_is_kept() {
    let server = Fake::start(Fault::RateLimit).await;
    let board = Arc::new(Board::default());
    let sender = peer(&server, CodecKind::Json, Vec::new(), &board).await;
    let count = |board: &Board| board.errors().get("rate_limited").copied().unwrap_or(0);
    let acked = drive(sender, plan(What::Post, Pace::Closed), |board| count(board) >= 20).await;
    assert_eq!(acked, [0, 0]);
    assert_eq!(count(&board), board.sent_ever());
}
