//! The counts, on paper after each round.

use std::{fmt, fs, path::PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::verdict::Found;

/// What was checked so far.
pub(crate) struct Report {
    pub(crate) kills: u32,
    pub(crate) acknowledged: u64,
    pub(crate) lost: u64,
    pub(crate) recorded_twice: u64,
    asked: u32,
    path: Option<PathBuf>,
}

impl Report {
    /// Goes on from the rounds of an interrupted suite of as many kills, or begins.
    pub(crate) fn resume(asked: u32) -> Result<Self> {
        let path = std::env::var_os("WHERRY_KILLS_REPORT").map(PathBuf::from);
        let mut report = Self { kills: 0, acknowledged: 0, lost: 0, recorded_twice: 0, asked, path };
        let Some(text) = report.state().and_then(|state| fs::read(state).ok()) else { return Ok(report) };
        let state: Value = serde_json::from_slice(&text).context("the state of the kill suite is damaged")?;
        let count = |name: &str| state[name].as_u64().unwrap_or_default();
        if count("asked") == u64::from(asked) {
            report.kills = u32::try_from(count("kills"))?;
            (report.acknowledged, report.lost) = (count("acknowledged"), count("lost"));
            report.recorded_twice = count("recorded_twice");
            eprintln!("going on: {report}");
        }
        Ok(report)
    }

    /// Takes in a round.
    pub(crate) fn add(&mut self, kills: u32, found: Found) -> Result<()> {
        self.kills += kills;
        self.acknowledged += found.acknowledged;
        self.lost += found.lost.len() as u64;
        self.recorded_twice += found.twice.len() as u64;
        for what in found.lost.iter().map(|what| ("lost", what)).chain(found.twice.iter().map(|what| ("twice", what))) {
            eprintln!("{}: {}", what.0, what.1);
        }
        let Some(path) = &self.path else { return Ok(()) };
        fs::write(path, self.counts().to_string())?;
        let mut state = self.counts();
        state["asked"] = json!(self.asked);
        self.state().map_or(Ok(()), |path| Ok(fs::write(path, state.to_string())?))
    }

    /// The suite is whole; the next one begins anew.
    pub(crate) fn finish(&self) -> Result<()> {
        self.state().filter(|state| state.exists()).map_or(Ok(()), |state| Ok(fs::remove_file(state)?))
    }

    fn counts(&self) -> Value {
        let Self { kills, acknowledged, lost, recorded_twice, .. } = self;
        json!({ "kills": kills, "acknowledged": acknowledged, "lost": lost, "recorded_twice": recorded_twice })
    }

    fn state(&self) -> Option<PathBuf> {
        self.path.as_ref().map(|path| path.with_extension("state.json"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, acknowledged, lost, recorded_twice, asked, .. } = self;
        write!(f, "{kills} of {asked} kills, {acknowledged} acknowledged, {lost} lost, {recorded_twice} recorded twice")
    }
}
