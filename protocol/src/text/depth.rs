//! How deep a message nests, found without recursion and before any parser that recurses sees it.

/// How deep arrays and objects nest in JSON text: 0 for a scalar. Text that is no JSON gets some
/// number, never a panic.
pub fn depth(text: &str) -> usize {
    let mut depth = 0usize;
    let mut deepest = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    for b in text.bytes() {
        if in_string {
            match b {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match b {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Whether `text` nests deeper than `limit`. Text with fewer brackets than that cannot, and
/// counting those is quick.
pub fn deeper_than(text: &str, limit: usize) -> bool {
    brackets(text) > limit && depth(text) > limit
}

/// How many bytes of `text` open an array or an object.
fn brackets(text: &str) -> usize {
    // The two differ in one bit.
    const BIT: u8 = b'{' ^ b'[';
    let count = |bytes: &[u8]| bytes.iter().map(|byte| u8::from(byte | BIT == b'{')).sum::<u8>();
    // As many as a byte can count, since compilers make wide instructions of that.
    text.as_bytes().chunks(u8::MAX.into()).map(|bytes| usize::from(count(bytes))).sum()
}
