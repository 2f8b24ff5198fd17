//! A million hostile locations: none leads out, and no two that one folder could answer to are told apart.

use std::collections::HashMap;

use super::*;

const CASES: u64 = 1_000_000;

#[test]
fn a_million_hostile_locations_stay_below_their_root_and_never_share_a_folder() {
    let roots = roots();
    let mut dice = Dice(0x005e_ed0f_0a07);
    // What the most forgiving disk would call each folder that was accepted.
    let mut disk: HashMap<String, Key> = HashMap::new();
    let (mut accepted, mut refused) = (0_u64, 0_u64);
    for _ in 0..CASES {
        let given = dice.location();
        let Ok(location) = roots.resolve(&given) else {
            refused += 1;
            continue;
        };
        accepted += 1;
        assert!(location.root < 2 && !location.parts.is_empty(), "{given:?}");
        for part in &location.parts {
            assert!(!part.is_empty() && part != "." && part != ".." && part.len() <= MAX_PART, "{given:?}");
            assert!(!part.contains(['/', '\\', '\0', ':']) && !part.ends_with(['.', ' ']), "{given:?}");
            assert!(!part.chars().any(char::is_control), "{given:?}");
        }
        let root = Key::of(roots.0[location.root].parts.iter().map(String::as_str));
        assert!(location.key.overlaps(&root) && location.key != root, "{given:?}");
        let name = forgiving(location.root, &location.parts);
        match disk.get(&name) {
            Some(key) => assert_eq!(key, &location.key, "{given:?} would be told apart from its own folder"),
            None if disk.len() < 200_000 => drop(disk.insert(name, location.key)),
            None => {}
        }
    }
    assert!(accepted > CASES / 20 && refused > CASES / 20, "{accepted} accepted, {refused} refused");
}

#[test]
fn spellings_of_one_folder_have_one_key_and_folders_inside_folders_overlap() {
    let roots = roots();
    let key = |given: &str| roots.resolve(given).unwrap().key;
    let plain = key("jira/one");
    for same in [
        "./jira//one/",
        "jira/../jira/one",
        "JIRA/One",
        "/srv/tokens/jira/one",
        "/data/tokens/jira/one",
        "/data/./tokens/x/../jira/one",
        "j\u{131}ra/one",
    ] {
        assert_eq!(key(same), plain, "{same}");
    }
    assert!(key("jira").overlaps(&plain) && plain.overlaps(&key("jira/one/two")));
    assert!(!plain.overlaps(&key("jira/one-two")) && !plain.overlaps(&key("jira/on")));
    assert!(!plain.overlaps(&key("/other/jira/one")));
}

#[test]
fn what_leads_out_or_nowhere_is_refused() {
    let roots = roots();
    for outside in [
        "..",
        "../tokens/x",
        "a/../..",
        "/",
        "/etc/passwd",
        "/srv/tokens",
        "/srv/tokens/..",
        "/srv/tokensx/a",
        ".",
        "/srv/tokens/a/..",
    ] {
        assert_eq!(roots.resolve(outside), Err(LocationError::Outside), "{outside}");
    }
    let deep = "a/".repeat(MAX_DEPTH + 1);
    let long = "x".repeat(MAX_PART + 1);
    let longer = "x/".repeat(MAX_LOCATION);
    for malformed in [
        "",
        "nul",
        "a/b.",
        "a\\..\\..\\b",
        "c:/x",
        "a\0",
        "a/\u{202e}b",
        "~/x",
        "\u{ff0e}\u{ff0e}/x",
        &deep,
        &long,
        &longer,
    ] {
        assert!(matches!(roots.resolve(malformed), Err(LocationError::Malformed(_))), "{malformed:?}");
    }
    assert_eq!(Roots::default().resolve("jira"), Err(LocationError::Outside));
}

fn roots() -> Roots {
    Roots::new(vec![Root::new("/data/tokens", "/srv/tokens").unwrap(), Root::new("/other", "/other").unwrap()])
}

/// The name under which a disk that composes, ignores case and drops trailing dots would find the folder.
fn forgiving(root: usize, parts: &[String]) -> String {
    let names: Vec<String> = parts.iter().map(|part| composed(&part.to_lowercase())).collect();
    format!("{root}:{}", names.join("/"))
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same values each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 1) as usize % sides
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }

    fn location(&mut self) -> String {
        const STARTS: [&str; 10] =
            ["", "", "", "", "/srv/tokens/", "/data/tokens/", "/other/", "/", "//data//tokens/./", "/data/tokens/../"];
        const PIECES: [&str; 44] = [
            "a",
            "A",
            "b",
            "jira",
            "JIRA",
            "Jira",
            "one",
            "ONE",
            "\u{e9}",
            "e\u{301}",
            "\u{c9}",
            "\u{df}",
            "ss",
            "SS",
            "\u{212a}",
            "k",
            "\u{131}",
            "\u{130}",
            "\u{ff0f}",
            "\u{2025}",
            "\u{ff0e}",
            "..",
            ".",
            "\\",
            "\0",
            ":",
            "con",
            "NUL",
            "com1",
            " ",
            "\u{a0}",
            "\u{202e}",
            "\u{200d}",
            "~",
            "%2e%2e",
            "${x}",
            "*",
            "\u{fb01}",
            "fi",
            "\u{3c2}",
            "\u{3a3}",
            "\u{1f600}",
            "\u{fffd}",
            "-",
        ];
        let mut text = self.pick(&STARTS).to_owned();
        for _ in 0..=self.roll(5) {
            for _ in 0..=self.roll(2) {
                let reach = [8, 8, 8, 18, 44][self.roll(5)];
                text.push_str(self.pick(&PIECES[..reach]));
            }
            text.push_str(if self.roll(3) > 0 { "/" } else { "" });
        }
        if self.roll(500) == 0 {
            text.push_str(&"y".repeat(self.roll(2_000)));
        }
        text
    }
}
