//! Many who are told to do something, one after the other, at a rate.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use greenroom_loadtest::peer::Pace;
use greenroom_loadtest::stats::Board;

/// Tells one of `count` after the other, `per_second` of them, until it is stopped: `tell` gets the
/// number of the one whose turn it is, and says whether that one obeys. Returns how many did.
pub async fn in_turn(
    board: &Board,
    per_second: f64,
    count: usize,
    stopped: &mut watch::Receiver<bool>,
    mut tell: impl FnMut(usize) -> bool,
) -> u64 {
    let mut pace = Pace::open(board.now_us() as f64, per_second);
    let (mut next, mut obeyed) = (0, 0);
    while !*stopped.borrow() && count > 0 {
        if pace.due(board.now_us()).is_none() {
            let wake = Instant::from_std(board.instant(pace.next()));
            tokio::select! {
                () = sleep_until(wake) => {}
                _ = stopped.changed() => {}
            }
            continue;
        }
        obeyed += u64::from(tell(next));
        next = (next + 1) % count;
    }
    obeyed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_have_their_turn_until_it_ends() {
        let (stop, mut stopped) = watch::channel(false);
        let mut told = Vec::new();
        let tell = |index| {
            told.push(index);
            if told.len() == 7 {
                stop.send_replace(true);
            }
            index != 1
        };
        assert_eq!(
            in_turn(&Board::default(), 1e6, 3, &mut stopped, tell).await,
            5,
            "1 does not obey"
        );
        assert_eq!(told, [0, 1, 2, 0, 1, 2, 0]);
    }
}
