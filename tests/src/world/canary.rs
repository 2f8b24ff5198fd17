//! Looking for a secret value where it must not be: in files, and in the memory of a process.
//!
//! A value is looked for as it is, in base64 at each of its three alignments, percent-encoded, and escaped as in JSON.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// Bytes looked at in one piece.
const PIECE: usize = 4 << 20;
/// Shorter ones would be found by chance.
const SHORTEST: usize = 8;

/// A value with every way to write it.
pub struct Canary {
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Canary {
    /// All ways to write `value`.
    ///
    /// # Errors
    /// If it is so short that it would be found by chance.
    pub fn of(value: &str) -> Result<Self> {
        ensure!(value.len() >= SHORTEST, "a canary of {} bytes sings by chance", value.len());
        let mut forms = vec![("as it is", value.as_bytes().to_vec())];
        for before in 0..3 {
            forms.push(("in base64", base64(&STANDARD_NO_PAD, before, value)));
            forms.push(("in base64url", base64(&URL_SAFE_NO_PAD, before, value)));
        }
        let percent = |byte: u8| match byte {
            b'-' | b'.' | b'_' | b'~' => (byte as char).to_string(),
            byte if byte.is_ascii_alphanumeric() => (byte as char).to_string(),
            byte => format!("%{byte:02X}"),
        };
        let encoded: String = value.bytes().map(percent).collect();
        forms.push(("percent-encoded", encoded.to_ascii_lowercase().into_bytes()));
        forms.push(("percent-encoded", encoded.into_bytes()));
        let json = serde_json::to_string(value)?;
        forms.push(("in JSON", json.trim_matches('"').as_bytes().to_vec()));
        let mut kept: Vec<(&str, Vec<u8>)> = Vec::new();
        for (how, form) in forms {
            if !kept.iter().any(|(_, known)| *known == form) {
                kept.push((how, form));
            }
        }
        Ok(Self { forms: kept })
    }

    /// How it is written in `content`, if it is there.
    pub fn in_bytes(&self, content: &[u8]) -> Option<&'static str> {
        let found = self.forms.iter().find(|(_, form)| holds(content, form));
        found.map(|(how, _)| *how)
    }

    /// Where it is below `folder`, and how it is written there.
    ///
    /// # Errors
    /// If something cannot be read, or there is no such folder.
    pub fn below(&self, folder: &Path) -> Result<Vec<String>> {
        ensure!(folder.is_dir(), "there is no folder {}", folder.display());
        let mut found = Vec::new();
        for file in files(folder)? {
            // A file may go while it is looked for.
            let Ok(file_read) = File::open(&file) else { continue };
            if let Some(how) = self.in_stream(BufReader::new(file_read))? {
                found.push(format!("{} ({how})", file.display()));
            }
        }
        Ok(found)
    }

    /// How it is written in the memory of a process, if it is there; the second is how many bytes were looked at.
    ///
    /// # Errors
    /// If the system does not let this process look.
    pub fn in_memory(&self, pid: u32) -> Result<(Option<&'static str>, u64)> {
        let maps = BufReader::new(File::open(format!("/proc/{pid}/maps"))?);
        let mut memory = File::open(format!("/proc/{pid}/mem")).context("the memory of the process is not shown")?;
        let (mut looked_at, mut found) = (0, None);
        for line in maps.lines() {
            let Some((from, to)) = readable(&line?) else { continue };
            // What the kernel does not show, such as its own pages, is no memory of the program.
            if memory.seek(SeekFrom::Start(from)).is_err() {
                continue;
            }
            let region = (&mut memory).take(to - from);
            let mut counted = Counted { inner: region, bytes: 0 };
            found = found.or(self.in_stream(&mut counted).unwrap_or(None));
            looked_at += counted.bytes;
        }
        Ok((found, looked_at))
    }

    fn in_stream(&self, mut stream: impl Read) -> Result<Option<&'static str>> {
        let longest = self.forms.iter().map(|(_, form)| form.len()).max().unwrap_or(0);
        let mut piece = vec![0; PIECE];
        let mut kept = 0;
        loop {
            let read = stream.read(piece.get_mut(kept..).unwrap_or_default())?;
            let end = kept + read;
            let content = piece.get(..end).unwrap_or_default();
            if let Some(how) = self.in_bytes(content) {
                return Ok(Some(how));
            }
            if read == 0 {
                return Ok(None);
            }
            // It may lie across two pieces.
            kept = longest.min(end);
            piece.copy_within(end - kept..end, 0);
        }
    }
}

struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

/// First and last address of a part of memory that the process may write: what it has read lies there.
fn readable(line: &str) -> Option<(u64, u64)> {
    let mut columns = line.split_ascii_whitespace();
    let (from, to) = columns.next()?.split_once('-')?;
    let rights = columns.next()?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    if rights.starts_with("rw") { Some((address(from)?, address(to)?)) } else { None }
}

/// Whether `form` stands in `content`. Looks for the rarest kind of byte in it, with the system's own search, so that
/// the memory of a process is done in a moment.
fn holds(content: &[u8], form: &[u8]) -> bool {
    let rarest = form.iter().enumerate().max_by_key(|(_, byte)| rarity(**byte));
    let Some((offset, byte)) = rarest else { return false };
    let (mut rest, mut at) = (content, 0);
    while let Ok(skipped @ 1..) = rest.skip_until(*byte) {
        at += skipped;
        let start = (at - 1).checked_sub(offset);
        if start.and_then(|start| content.get(start..)).is_some_and(|text| text.starts_with(form)) {
            return true;
        }
    }
    false
}

const fn rarity(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => 1,
        b'0'..=b'9' => 2,
        b'A'..=b'Z' => 3,
        0..=b' ' | 0xff => 0,
        _ => 4,
    }
}

/// Without the letters that bytes before or after it have a part in.
fn base64(engine: &impl Engine, before: usize, value: &str) -> Vec<u8> {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(value.as_bytes());
    let (mixed, pure) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    let text = engine.encode(&bytes);
    text.as_bytes().get(mixed..pure).unwrap_or_default().to_vec()
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        // A folder or file may go while it is looked for.
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let entry = entry?;
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "canary/7f3a+\"91c4\" öde";

    #[test]
    fn a_value_is_found_however_it_is_written() -> Result<()> {
        let canary = Canary::of(VALUE)?;
        let encoded = [STANDARD_NO_PAD.encode(VALUE), STANDARD_NO_PAD.encode(format!("user:{VALUE}!"))];
        let percent = "canary%2F7f3a%2B%2291c4%22%20%C3%B6de".to_owned();
        for text in encoded.into_iter().chain([VALUE.to_owned(), serde_json::to_string(VALUE)?, percent]) {
            ensure!(canary.in_bytes(format!("a = {text};").as_bytes()).is_some(), "{text}");
        }
        ensure!(canary.in_bytes(b"canary/7f3a+ is another one").is_none());
        Ok(())
    }

    #[test]
    fn a_value_is_found_across_two_pieces_of_a_file() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let mut content = vec![b'x'; PIECE - 7];
        content.extend_from_slice(VALUE.as_bytes());
        fs::write(folder.path().join("file"), content)?;
        ensure!(Canary::of(VALUE)?.below(folder.path())?.len() == 1);
        Ok(())
    }

    #[test]
    fn this_process_has_the_value_in_its_memory() -> Result<()> {
        let value = format!("{VALUE}-{}", std::process::id());
        let (found, looked_at) = Canary::of(&value)?.in_memory(std::process::id())?;
        ensure!(found.is_some() && looked_at > 0);
        Ok(())
    }
}
