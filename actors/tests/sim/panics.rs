//! Panics in the middle of a handler: whoever encodes a message when the fuse burns down does not
//! live to use it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use greenroom_actors::frames::Encoder;

thread_local! {
    /// How many messages are still encoded.
    static FUSE: Cell<Option<u32>> = const { Cell::new(None) };
}

/// In the answer that a request gets when it is dropped.
const UNAVAILABLE: &[u8] = b"unavailable";

/// What such a panic carries.
struct OnPurpose;

/// Panics, for `burn` to catch.
pub fn panic_on_purpose() -> ! {
    FUSE.set(None);
    resume_unwind(Box::new(OnPurpose));
}

/// Frames are their length and the message.
pub fn encoder() -> Encoder {
    Encoder::new(|_, payload, more, out| {
        match FUSE.get() {
            // Once: what unwinds encodes refusals. And not while a request is dropped, since nobody
            // is left then to answer it.
            Some(0) if !payload.windows(UNAVAILABLE.len()).any(|part| part == UNAVAILABLE) => {
                panic_on_purpose();
            }
            left => FUSE.set(left.map(|left| left.saturating_sub(1))),
        }
        out.extend(u32::try_from(payload.len() + more).expect("messages are short").to_be_bytes());
        out.extend(payload);
    })
}

/// Lets `happen` encode so many messages and no more. True when it panicked; otherwise `fuse` is
/// what is left.
pub fn burn(fuse: &mut Option<u32>, happen: impl FnOnce()) -> bool {
    FUSE.set(*fuse);
    let done = catch_unwind(AssertUnwindSafe(happen));
    *fuse = FUSE.replace(None);
    match done {
        Ok(()) => false,
        Err(why) if why.is::<OnPurpose>() => true,
        Err(why) => resume_unwind(why),
    }
}
