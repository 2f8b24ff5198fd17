//! The second line against secrets in logs: values that are in use are cut out of whatever is written.
//!
//! The first line is that no secret is ever given to a log; this one catches the mistake. A value is recognised as it
//! is, in base64 at each of its three alignments, percent-encoded, and escaped as in JSON or Rust's debug format.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    io::{self, Write},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use zeroize::Zeroizing;

/// What stands in place of a value.
pub const MARK: &str = "[redacted]";
/// Shorter values, and shorter forms of a value, would blank ordinary words.
const MIN_FORM: usize = 6;
/// Of longer values the beginning is looked for, and the rest of the line goes with it.
const MAX_FORM: usize = 512;
/// Most values at a time: with all their forms about 15 MiB at worst.
const MAX_VALUES: usize = 2_000;
/// Forms are found by so many of their first bytes.
const START: usize = 4;
/// Percent-encoded text has three bytes for one.
const HEX: usize = 3;

/// Knows the values that must not be written. Clones share them.
#[derive(Clone, Default)]
pub struct Redactor(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Whether there is anything to look for, so that a process without secrets does not even take the lock.
    any: AtomicBool,
    next: AtomicU64,
    forms: RwLock<Forms>,
}

#[derive(Default)]
struct Forms {
    values: usize,
    by_start: HashMap<[u8; START], Vec<Form>>,
}

/// One way to write one value.
struct Form {
    value: u64,
    text: Zeroizing<Vec<u8>>,
    /// The value goes on after it.
    cut: bool,
}

/// For as long as it lives, its value is cut out. Tells nothing of it.
pub struct Watch {
    redactor: Redactor,
    value: u64,
}

impl Redactor {
    /// Looks for `value` from now on, unless it is too short to be told from ordinary words. Beyond 2,000 values at a
    /// time the newest are not looked for.
    #[must_use]
    pub fn watch(&self, value: &str) -> Watch {
        let Inner { any, next, forms } = self.0.as_ref();
        let id = next.fetch_add(1, SeqCst);
        let mut forms = forms.write().unwrap_or_else(PoisonError::into_inner);
        if value.len() >= MIN_FORM && forms.values < MAX_VALUES {
            forms.values += 1;
            forms.learn(id, value);
            any.store(true, SeqCst);
        }
        Watch { redactor: self.clone(), value: id }
    }

    /// The text without any of the values.
    #[must_use]
    pub fn scrub<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.scrub_bytes(text.as_bytes()) {
            None => Cow::Borrowed(text),
            Some(clean) => Cow::Owned(String::from_utf8_lossy(&clean).into_owned()),
        }
    }

    /// The bytes without any of the values; `None` if there is none in them.
    fn scrub_bytes(&self, text: &[u8]) -> Option<Vec<u8>> {
        if !self.0.any.load(SeqCst) {
            return None;
        }
        self.0.forms.read().unwrap_or_else(PoisonError::into_inner).scrub(text)
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Inner { any, forms, .. } = self.redactor.0.as_ref();
        let mut forms = forms.write().unwrap_or_else(PoisonError::into_inner);
        if forms.forget(self.value) {
            forms.values = forms.values.saturating_sub(1);
            any.store(forms.values > 0, SeqCst);
        }
    }
}

impl Forms {
    fn learn(&mut self, id: u64, value: &str) {
        let whole = value.len() <= MAX_FORM;
        let head = value.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_FORM).last().unwrap_or(0);
        let head = if whole { value } else { value.get(..head).unwrap_or_default() };
        let mut known: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        for text in forms_of(head) {
            if text.len() >= MIN_FORM && !known.contains(&text) {
                known.push(text);
            }
        }
        for text in known {
            let Some(start) = text.first_chunk::<START>() else { continue };
            self.by_start.entry(*start).or_default().push(Form { value: id, text, cut: !whole });
        }
    }

    fn forget(&mut self, id: u64) -> bool {
        let mut found = false;
        self.by_start.retain(|_, forms| {
            let before = forms.len();
            forms.retain(|form| form.value != id);
            found |= forms.len() < before;
            !forms.is_empty()
        });
        found
    }

    fn scrub(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut clean: Option<Vec<u8>> = None;
        let mut rest = text;
        while let Some(first) = rest.first() {
            match self.found_at(rest) {
                Some(length) => {
                    let clean =
                        clean.get_or_insert_with(|| text.get(..text.len() - rest.len()).unwrap_or_default().to_vec());
                    clean.extend_from_slice(MARK.as_bytes());
                    rest = rest.get(length..).unwrap_or_default();
                }
                None => {
                    if let Some(clean) = &mut clean {
                        clean.push(*first);
                    }
                    rest = rest.get(1..).unwrap_or_default();
                }
            }
        }
        clean
    }

    /// How many bytes at the beginning of `text` are a value.
    fn found_at(&self, text: &[u8]) -> Option<usize> {
        let forms = self.by_start.get(text.first_chunk::<START>()?)?;
        let found = forms.iter().filter(|form| text.starts_with(&form.text));
        let end_of_line = || text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
        found.map(|form| if form.cut { end_of_line().max(form.text.len()) } else { form.text.len() }).max()
    }
}

/// The ways to write a value that are looked for.
fn forms_of(value: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let mut forms = vec![
        Zeroizing::new(value.as_bytes().to_vec()),
        percent(value, true, b"%20"),
        percent(value, false, b"%20"),
        percent(value, true, b"+"),
        json(value),
        Zeroizing::new(value.escape_debug().collect::<String>().into_bytes()),
    ];
    for before in 0..3 {
        forms.push(base64(&STANDARD_NO_PAD, before, value));
        forms.push(base64(&URL_SAFE_NO_PAD, before, value));
    }
    forms
}

/// RFC 3986, with everything encoded that is not unreserved.
fn percent(value: &str, upper: bool, space: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(value.len() * HEX));
    for byte in value.bytes() {
        let written = match byte {
            b' ' => text.write_all(space),
            b'-' | b'.' | b'_' | b'~' => text.write_all(&[byte]),
            byte if byte.is_ascii_alphanumeric() => text.write_all(&[byte]),
            byte if upper => write!(text, "%{byte:02X}"),
            byte => write!(text, "%{byte:02x}"),
        };
        // A vector takes everything.
        drop(written);
    }
    text
}

/// Without the quotes.
fn json(value: &str) -> Zeroizing<Vec<u8>> {
    let quoted = Zeroizing::new(serde_json::to_vec(value).unwrap_or_default());
    let inner = quoted.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or_default();
    Zeroizing::new(inner.to_vec())
}

/// What `before` unknown bytes and then the value become, without the letters that other bytes have a part in: a
/// password is recognised inside of `user:password` too.
fn base64(engine: &impl Engine, before: usize, value: &str) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(vec![0; before]);
    bytes.reserve_exact(value.len());
    bytes.extend_from_slice(value.as_bytes());
    let text = Zeroizing::new(engine.encode(bytes.as_slice()));
    let mixed = (before * 8).div_ceil(6);
    let pure = bytes.len() * 8 / 6;
    Zeroizing::new(text.as_bytes().get(mixed..pure).unwrap_or_default().to_vec())
}

/// A writer of whole lines from which the values are cut.
pub struct Scrubbed<W> {
    redactor: Redactor,
    inner: W,
}

impl<W> Scrubbed<W> {
    /// Writes to `inner` what `redactor` leaves.
    pub fn new(redactor: Redactor, inner: W) -> Self {
        Self { redactor, inner }
    }
}

impl<W: Write> Write for Scrubbed<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self.redactor.scrub_bytes(text) {
            None => self.inner.write(text),
            Some(clean) => self.inner.write_all(&clean).map(|()| text.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "hun\"ter2/+? ü";

    fn scrubbed(redactor: &Redactor, text: &str) -> String {
        redactor.scrub(text).into_owned()
    }

    #[test]
    fn every_form_of_a_value_is_cut_out_and_the_rest_stays() {
        let redactor = Redactor::default();
        let _watch = redactor.watch(SECRET);
        let json = serde_json::to_string(SECRET).unwrap();
        for form in [
            SECRET.to_owned(),
            json.trim_matches('"').to_owned(),
            format!("{SECRET:?}").trim_matches('"').to_owned(),
            "hun%22ter2%2F%2B%3F%20%C3%BC".to_owned(),
            "hun%22ter2%2f%2b%3f%20%c3%bc".to_owned(),
            "hun%22ter2%2F%2B%3F+%C3%BC".to_owned(),
        ] {
            assert_eq!(scrubbed(&redactor, &format!("a={form};b={form}")), format!("a={MARK};b={MARK}"), "{form}");
        }
    }

    #[test]
    fn a_password_is_found_inside_of_a_longer_base64_text() {
        let redactor = Redactor::default();
        let _watch = redactor.watch("correct-horse-battery");
        for user in ["", "a", "ab", "abc"] {
            for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                let text = engine.encode(format!("{user}:correct-horse-battery"));
                let clean = scrubbed(&redactor, &format!("authorization: Basic {text}"));
                assert!(clean.contains(MARK) && clean.len() < 45, "{clean}");
            }
        }
    }

    #[test]
    fn a_value_is_looked_for_only_while_it_is_watched() {
        let redactor = Redactor::default();
        let first = redactor.watch("correct-horse");
        let second = redactor.watch("correct-horse");
        drop(first);
        assert_eq!(scrubbed(&redactor, "correct-horse"), MARK);
        drop(second);
        assert!(matches!(redactor.scrub("correct-horse"), Cow::Borrowed("correct-horse")));
        assert!(!redactor.0.any.load(SeqCst));
    }

    #[test]
    fn short_values_stay_and_of_long_ones_the_line_goes() {
        let redactor = Redactor::default();
        let long: String = (0..500).map(|n| format!("{n:03} ")).collect();
        let _watches = [redactor.watch("eu-1"), redactor.watch(&long)];
        assert_eq!(scrubbed(&redactor, "the agent eu-1"), "the agent eu-1");
        assert_eq!(scrubbed(&redactor, &format!("it is {long}.\nnext")), format!("it is {MARK}\nnext"));
    }

    #[test]
    fn no_more_than_so_many_values_are_looked_for() {
        let redactor = Redactor::default();
        let mut watches: Vec<Watch> =
            (0..MAX_VALUES).map(|n| redactor.watch(&format!("value-number-{n:05}"))).collect();
        let beyond = redactor.watch("one-too-many");
        assert_eq!(scrubbed(&redactor, "one-too-many value-number-00007."), format!("one-too-many {MARK}."));
        watches.pop();
        drop(beyond);
        let _now = redactor.watch("one-too-many");
        assert_eq!(scrubbed(&redactor, "one-too-many"), MARK);
    }

    #[test]
    fn a_written_line_is_clean() {
        let redactor = Redactor::default();
        let _watch = redactor.watch("correct-horse");
        let mut written = Vec::new();
        Scrubbed::new(redactor, &mut written).write_all(b"INFO password=correct-horse user=ada\n").unwrap();
        assert_eq!(written, format!("INFO password={MARK} user=ada\n").into_bytes());
    }
}
