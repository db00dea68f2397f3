//! Panics in the middle of a handler: when the fuse has burnt down, encoding a message panics.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use greenroom_actors::frames::Encoder;

thread_local! {
    /// The number of messages that can still be encoded.
    static FUSE: Cell<Option<u32>> = const { Cell::new(None) };
}

/// A part of the answer to a dropped request.
const UNAVAILABLE: &[u8] = b"unavailable";

/// The payload of these panics.
struct OnPurpose;

/// Panics, for `burn` to catch.
pub fn panic_on_purpose() -> ! {
    FUSE.set(None);
    resume_unwind(Box::new(OnPurpose));
}

/// A frame is the length and the message.
pub fn encoder() -> Encoder {
    Encoder::new(|_, payload, more, out| {
        match FUSE.get() {
            // Only once, because unwinding encodes refusals, and not for the answer to a dropped
            // request, which nobody else would send.
            Some(0) if !payload.windows(UNAVAILABLE.len()).any(|part| part == UNAVAILABLE) => {
                panic_on_purpose();
            }
            left => FUSE.set(left.map(|left| left.saturating_sub(1))),
        }
        out.extend(u32::try_from(payload.len() + more).expect("messages are short").to_be_bytes());
        out.extend(payload);
    })
}

/// Runs `happen`, which may encode `fuse` messages and then panics. Returns whether it panicked;
/// otherwise `fuse` is the number that is left.
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
