//! What a reader of a guide carries out: commands, files to write, and what should be seen.
//!
//! - A block of `sh` is carried out. Comments before it, which no reader sees, say what else is to be known:
//!   `<!-- not run: WHY -->` leaves it out, `<!-- exit: CODE -->` is the exit code of its last command.
//! - A block without a language right behind one of `sh` is what its commands print. Columns count as one space, and `...`
//!   stands for anything: as a whole line for any number of lines.
//! - A block of `yaml` that begins with `# PATH` is a file in the folder that the reader is in.

use anyhow::{Result, bail, ensure};

/// A guide as its reader carries it out.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) steps: Vec<Step>,
    /// Why blocks are left out.
    pub(crate) not_run: Vec<String>,
}

/// One block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Commands, the exit code of the last one, and what they print, where the guide shows it.
    Run { commands: String, exit: i32, shown: Option<String> },
    /// A file to write.
    File { path: String, text: String },
}

/// How many blocks of each kind a guide has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) run: usize,
    pub(crate) shown: usize,
    pub(crate) files: usize,
    pub(crate) not_run: usize,
}

/// A block whose end is not read yet.
struct Open {
    language: String,
    mark: Option<String>,
    text: String,
}

impl Page {
    /// Reads a guide in Markdown.
    pub(crate) fn read(guide: &str) -> Result<Self> {
        let (mut page, mut open, mut mark): (_, Option<Open>, _) = (Self::default(), None, None);
        // Output belongs to the commands right before it.
        let mut after_commands = false;
        for line in guide.lines() {
            if let Some(mut block) = open.take() {
                if line == "```" {
                    after_commands = page.take(block, after_commands)?;
                } else {
                    block.text.push_str(line);
                    block.text.push('\n');
                    open = Some(block);
                }
            } else if let Some(language) = line.strip_prefix("```") {
                open = Some(Open { language: language.to_owned(), mark: mark.take(), text: String::new() });
            } else if let Some(comment) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
                mark = Some(comment.to_owned());
            } else if !line.trim().is_empty() {
                ensure!(!line.contains("```"), "a block that is not at the start of its line: {line}");
                ensure!(mark.is_none(), "a mark that belongs to no block, before: {line}");
                after_commands = false;
            }
        }
        ensure!(open.is_none() && mark.is_none(), "the guide ends within a block or after a mark");
        Ok(page)
    }

    /// Takes a whole block; whether output may follow.
    fn take(&mut self, block: Open, after_commands: bool) -> Result<bool> {
        let Open { language, mark, text } = block;
        match (language.as_str(), mark.as_deref()) {
            ("sh", None) => self.steps.push(Step::Run { commands: text, exit: 0, shown: None }),
            ("sh", Some(mark)) => match (mark.strip_prefix("exit: "), mark.strip_prefix("not run: ")) {
                (Some(code), _) => self.steps.push(Step::Run { commands: text, exit: code.parse()?, shown: None }),
                (None, Some(why)) => {
                    self.not_run.push(why.to_owned());
                    return Ok(false);
                }
                (None, None) => bail!("a mark that means nothing: {mark}"),
            },
            ("", None) => match self.steps.last_mut() {
                Some(Step::Run { shown, .. }) if after_commands => *shown = Some(text),
                _ => bail!("a block without a language that is the output of nothing:\n{text}"),
            },
            ("yaml", None) => {
                let path = text.lines().next().and_then(|first| first.strip_prefix("# "));
                let Some(path) = path.filter(|path| path.ends_with(".yaml")) else {
                    bail!("a file without a name:\n{text}")
                };
                self.steps.push(Step::File { path: path.to_owned(), text });
            }
            // What others check: the guide's Rust and its manifest are those of the example.
            ("rust" | "toml", None) => {}
            (language, mark) => bail!("a block of {language:?} with the mark {mark:?}"),
        }
        Ok(language == "sh")
    }

    pub(crate) fn counts(&self) -> Counts {
        let count = |wanted: fn(&&Step) -> bool| self.steps.iter().filter(wanted).count();
        Counts {
            run: count(|step| matches!(step, Step::Run { .. })),
            shown: count(|step| matches!(step, Step::Run { shown: Some(_), .. })),
            files: count(|step| matches!(step, Step::File { .. })),
            not_run: self.not_run.len(),
        }
    }
}

/// Whether commands printed what the guide shows; otherwise the first line that is missing.
pub(crate) fn is_as_shown(shown: &str, said: &str) -> Result<(), String> {
    let tidy = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.filter(|line| !line.is_empty()).collect()
    };
    let (shown, said) = (tidy(shown), tidy(said));
    let mut rest = said.as_slice();
    let mut gap = false;
    for wanted in &shown {
        if wanted == "..." {
            gap = true;
            continue;
        }
        let reach = if gap { rest.len() } else { 1 };
        let found = rest.iter().take(reach).position(|line| fits(wanted, line));
        let Some(at) = found else { return Err(wanted.clone()) };
        rest = rest.get(at + 1..).unwrap_or_default();
        gap = false;
    }
    match rest.first() {
        Some(more) if !gap => Err(format!("(the guide shows less) {more}")),
        Some(_) | None => Ok(()),
    }
}

/// Whether a line is the wanted one, in which `...` stands for anything.
fn fits(wanted: &str, line: &str) -> bool {
    let Some((first, rest)) = wanted.split_once("...") else { return wanted == line };
    let Some(mut line) = line.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split("...").collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = line.split_once(part) else { return false };
        line = after;
    }
    line.ends_with(last)
}

#[test]
fn commands_files_and_output_of_a_guide_are_told_apart() {
    let guide = "# Title\n\n```sh\na\n```\n\n```\nsaid\n```\n\nText.\n\n<!-- exit: 10 -->\n```sh\nb\n```\n\n\
                 ```yaml\n# x/y.yaml\nk: v\n```\n\n```rust\nfn\n```\n\n<!-- not run: an editor -->\n```sh\nvi\n```\n";
    let page = Page::read(guide).unwrap();
    let wanted = [
        Step::Run { commands: "a\n".into(), exit: 0, shown: Some("said\n".into()) },
        Step::Run { commands: "b\n".into(), exit: 10, shown: None },
        Step::File { path: "x/y.yaml".into(), text: "# x/y.yaml\nk: v\n".into() },
    ];
    assert_eq!(page.steps, wanted);
    assert_eq!(page.counts(), Counts { run: 2, shown: 1, files: 1, not_run: 1 });
}

#[test]
fn what_nobody_would_carry_out_is_refused_and_not_overlooked() {
    for bad in [
        "```bash\na\n```\n",
        "```\nthe output of nothing\n```\n",
        "```sh\na\n```\n\nText.\n\n```\nsaid\n```\n",
        "```yaml\nkey: value\n```\n",
        "<!-- skip -->\n```sh\na\n```\n",
        "- item\n  ```sh\n  a\n  ```\n",
        "```sh\na\n",
    ] {
        assert!(Page::read(bad).is_err(), "{bad}");
    }
}

#[test]
fn output_is_compared_line_by_line_and_dots_stand_for_anything() {
    let said = "Compiling x\npublic\ted25519:abc\nid\t12\n\nfile\ta.key\n";
    for good in ["...\npublic  ed25519:...\nid  ...\nfile  a.key\n", "...\nid 12\n...\n", "Compiling ...\n...\n"] {
        assert_eq!(is_as_shown(good, said), Ok(()), "{good}");
    }
    for bad in ["public ed25519:...\n...\n", "...\nid 13\n...\n", "...\nfile a.key\nid 12\n", "Compiling x\n"] {
        assert!(is_as_shown(bad, said).is_err(), "{bad}");
    }
    assert!(fits("a ... b ... c", "a 1 b 2 c") && !fits("a ... b ... c", "a 1 2 c") && !fits("a ... c", "a 1 d"));
}
