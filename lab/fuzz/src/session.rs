//! Sessions, relays and entities under a script of pipelined requests, stalled readers, changing
//! rights and clocks: the promises that the simulation checks.
#![no_main]

use sim::script::Script;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let script = Script::from_bytes(data);
    if let Err(why) = script.holds() {
        panic!("{why}\n{script}");
    }
});
