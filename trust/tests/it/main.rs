//! What others may rely on: every document and token read back as written, and nothing that was changed.
#![cfg(test)]

mod access;
mod chain;
mod envelope;
mod keys;
mod local;
mod names;
mod release;
mod roster;
mod sealing;
mod token;

/// Calls `check` with every text that differs from `text` in one byte, for three kinds of difference.
fn for_each_changed_byte(text: &[u8], mut check: impl FnMut(usize, &[u8])) {
    for index in 0..text.len() {
        for mask in [0x01, 0x20, 0x80] {
            let mut changed = text.to_vec();
            changed[index] ^= mask;
            check(index, &changed);
        }
    }
}
