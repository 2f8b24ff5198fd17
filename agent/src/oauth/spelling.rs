//! When two names of files mean the same file on some file system.
//!
//! Some file systems ignore case, some compose characters, some drop trailing dots and spaces. A location that is safe
//! on one disk must stay safe when the folder moves to another, so that names are compared as the most forgiving one
//! of them would: compatibility normalisation, then upper and lower case. That finds a few more names equal than any
//! single file system does, which only refuses more.

use icu_normalizer::ComposingNormalizerBorrowed;

const NFC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfc();
const NFKC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfkc();

/// Names that some systems give to devices, whatever stands behind their first dot.
const DEVICES: [&str; 8] = ["con", "prn", "aux", "nul", "clock$", "conin$", "conout$", "config$"];

const DEVICE: &str = "one of its names is that of a device on some systems";

/// One name in its usual spelling (NFC), as it is written to disk.
pub(super) fn composed(name: &str) -> String {
    if name.is_ascii() { name.to_owned() } else { NFC.normalize(name).into_owned() }
}

/// What is equal for all spellings of a name that some file system may take for the same.
pub(super) fn folded(name: &str) -> String {
    if name.is_ascii() {
        return name.trim_end_matches(['.', ' ']).to_ascii_lowercase();
    }
    // Twice: folding may leave something that composes anew.
    let once = fold(&NFKC.normalize(name));
    let twice = fold(&NFKC.normalize(&once));
    twice.trim_end_matches(['.', ' ']).to_owned()
}

/// Each character by itself: a text as a whole would treat a sigma at its end in its own way.
fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// Why a name cannot be one part of a location.
pub(super) fn unfit(name: &str) -> Option<&'static str> {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}')
            || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}' | '\u{e0000}'..='\u{e0fff}')
    };
    if name.chars().any(hidden) {
        return Some("it has control characters or characters that nobody sees");
    }
    if name.contains(['\\', ':', '<', '>', '"', '|', '?', '*']) {
        return Some("it has one of \\ : < > \" | ? *, which not every file system takes");
    }
    if name.starts_with(' ') || name.ends_with(['.', ' ']) {
        return Some("one of its names begins with a space, or ends with a dot or space");
    }
    if name.starts_with('~') {
        return Some("one of its names begins with ~, which stands for nothing here");
    }
    if name.is_ascii() {
        return is_device(name).then_some(DEVICE);
    }
    let compatible = NFKC.normalize(name);
    let special = |text: &str| text.chars().filter(|c| matches!(c, '/' | '\\' | '.' | ':' | ' ' | '\0')).count();
    if special(&compatible) != special(name) {
        return Some("it has a character that some file systems take for a dot, space or slash");
    }
    is_device(&compatible).then_some(DEVICE)
}

fn is_device(name: &str) -> bool {
    let folded = name.to_lowercase();
    let stem = folded.split('.').next().unwrap_or_default().trim_end();
    let numbered = |kind| {
        stem.strip_prefix(kind).is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|digit| digit.is_ascii_digit()))
    };
    DEVICES.contains(&stem) || numbered("com") || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_fold_to_one() {
        for (left, right) in [
            ("Jira", "jIRA"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("stra\u{df}e", "STRASSE"),
            ("\u{212a}elvin", "kelvin"),
            ("\u{2126}", "\u{3c9}"),
            ("\u{3c3}\u{3c2}", "\u{3a3}\u{3a3}"),
            ("\u{ff4a}ira", "jira"),
            ("\u{fb01}le", "file"),
            ("i", "\u{131}"),
        ] {
            assert_eq!(folded(left), folded(right), "{left} {right}");
        }
        assert_ne!(folded("jira"), folded("jira2"));
    }

    #[test]
    fn names_that_some_system_reads_otherwise_are_unfit() {
        for bad in [
            "con",
            "NUL.txt",
            "com1",
            "LPT\u{b9}",
            "aux .log",
            "a.",
            "a ",
            " a",
            "a:b",
            "a\\b",
            "a\u{0}b",
            "a\u{202e}b",
            "a\u{200d}b",
            "~root",
            "a\u{ff0f}b",
            "\u{2025}",
            "a\u{2024}b",
            "a\u{a0}b",
            "a*",
        ] {
            assert!(unfit(bad).is_some(), "{bad:?}");
        }
        for good in ["jira", "Jira-1", "stra\u{df}e", ".hidden", "console", "com10", "a.b.c", "\u{65e5}\u{672c}"] {
            assert_eq!(unfit(good), None, "{good:?}");
        }
    }
}
