//! How long a group of agents takes to seal its secrets anew after one of them was removed, against a floor that does
//! the same cryptography and nothing else.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use hyper::Method;
use serde_json::{Map, Value, json};
use wherry_domain::{
    id::{AgentId, GroupId, OrganisationId},
    name::Name,
};
use wherry_trust::{
    keys::SigningKey,
    sealing::{
        invite::{Destination, Invite, Join},
        key::SealingKey,
        roster::Roster,
        secret::{Place, SealedSecret},
    },
    token::{EnrolmentToken, SpkiPin},
};

use crate::{bed::Bed, log::Log};

/// As many as an environment may have.
const SECRETS: usize = 1_000;
/// What is sealed: about a generated password.
const VALUE: &str = "correct-horse-battery-staple-0123";
/// Commands that set secrets at the same time.
const HANDS: usize = 4;
/// After this something is wrong, however slow the machine is.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often it is asked whether everything is sealed anew: the least that can be told apart.
const LOOK: Duration = Duration::from_millis(50);

/// Measures the floor, then a group of two agents of which one is removed.
///
/// # Errors
/// If a step fails, or does not come to its end.
pub(crate) async fn measure() -> anyhow::Result<Map<String, Value>> {
    let dir = tempfile::tempdir()?;
    let floor = floor(dir.path()).await?;
    let (bed, _) = Bed::start().await?;
    bed.wherry(&["environment", "create", "bench", "--group", "bench"])?;
    let (stays, _) = bed.agent("agent-1").await?;
    until("the first agent has founded the group", async || Ok(members(&bed).await? == 1)).await?;
    let (leaves, _) = bed.agent("agent-2").await?;
    until("both agents have the keys", async || Ok(members(&bed).await? == 2)).await?;
    let begin = Instant::now();
    set_all(&bed)?;
    let set = begin.elapsed();
    let vault = bed.dir().join("agent-1/keyring/secrets/bench");
    until("the agent that stays has every secret", async || Ok(files(&vault) == SECRETS)).await?;

    let begin = Instant::now();
    let (status, answer) = bed.api.call(Method::DELETE, "/v1/agents/agent-2", None).await?;
    ensure!((200..300).contains(&status), "the agent was not removed: {status} {answer}");
    let anew = async || {
        let epochs = epochs(&bed).await?;
        Ok(epochs.len() == SECRETS && epochs.iter().all(|epoch| *epoch == 2))
    };
    until("everything is sealed to the second epoch", anew).await?;
    let sealed = begin.elapsed();
    drop(leaves);
    stays.stop()?;
    let mut figures = Map::new();
    let mut figure =
        |name: &str, value: f64| figures.insert(name.to_owned(), json!((value * 1_000.0).round() / 1_000.0));
    figure("secrets", SECRETS as f64);
    figure("set_per_s", SECRETS as f64 / set.as_secs_f64());
    figure("floor_s", floor.as_secs_f64());
    figure("resealed_s", sealed.as_secs_f64());
    figure("resealed_ratio", sealed.as_secs_f64() / floor.as_secs_f64());
    Ok(figures)
}

/// Sets every secret as a person would, several at a time.
fn set_all(bed: &Bed) -> anyhow::Result<()> {
    let value = bed.dir().join("value");
    fs::write(&value, VALUE)?;
    let file = value.display().to_string();
    let set = |number: usize| {
        let name = name(number);
        bed.wherry(&["secret", "set", &name, "--environment", "bench", "--file", &file]).map(drop)
    };
    // The first one meets the group's roster and remembers it for the others.
    set(0)?;
    std::thread::scope(|scope| {
        let hands: Vec<_> =
            (0..HANDS).map(|hand| scope.spawn(move || (1 + hand..SECRETS).step_by(HANDS).try_for_each(set))).collect();
        hands.into_iter().try_for_each(|hand| hand.join().map_err(|_| anyhow::anyhow!("a thread broke off"))?)
    })
}

fn name(number: usize) -> String {
    format!("secret-{number}")
}

/// Agents that have the group's keys.
async fn members(bed: &Bed) -> anyhow::Result<usize> {
    let (_, answer) = bed.api.call(Method::GET, "/v1/agents", None).await?;
    Ok(answer["items"].as_array().into_iter().flatten().filter(|agent| agent["keys"] == "member").count())
}

/// The epoch to which each secret is sealed at the controller.
async fn epochs(bed: &Bed) -> anyhow::Result<Vec<u64>> {
    let (mut epochs, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/environments/bench/secrets?limit=200{cursor}");
        let (status, page) = bed.api.call(Method::GET, &path, None).await?;
        ensure!(status == 200, "no list: {status} {page}");
        let items = page["items"].as_array().context("no items")?;
        epochs.extend(items.iter().filter_map(|item| item["epoch"].as_u64()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(epochs),
        }
    }
}

fn files(dir: &Path) -> usize {
    fs::read_dir(dir).map_or(0, Iterator::count)
}

async fn until(what: &str, is_so: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let begin = Instant::now();
    while !is_so().await? {
        ensure!(begin.elapsed() < PATIENCE, "it did not happen that {what}");
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// What sealing anew costs at least: each secret is read, verified, opened, sealed and signed by one; the result is
/// verified and made durable by the one who keeps it and by the one who uses it.
async fn floor(dir: &Path) -> anyhow::Result<Duration> {
    let group = Group::new()?;
    let old = (0..SECRETS).map(|number| group.seal(number, 1, VALUE.as_bytes())).collect::<anyhow::Result<Vec<_>>>()?;
    let logs = [Log::create(&dir.join("controller.log"))?, Log::create(&dir.join("agent.log"))?];
    let begin = Instant::now();
    let mut kept = Vec::new();
    for (number, json) in old.iter().enumerate() {
        let content = group.verified(number, 1, json)?.open(&group.key)?;
        let new = group.seal(number, 2, &content)?;
        for log in &logs {
            group.verified(number, 2, &new)?;
            let (log, record) = (log.clone(), new.clone());
            kept.push(tokio::spawn(async move { log.append(record).await }));
        }
    }
    for one in kept {
        one.await??;
    }
    Ok(begin.elapsed())
}

/// The keys of a group of one.
struct Group {
    roster: Roster,
    key: SealingKey,
    identity: SigningKey,
    environment: Name,
}

impl Group {
    fn new() -> anyhow::Result<Self> {
        let (organisation, group) = (OrganisationId::from_u128(1), GroupId::from_u128(2));
        let (operator, identity) = (SigningKey::generate()?, SigningKey::generate()?);
        let token = EnrolmentToken::generate(SpkiPin::of_spki(b"bench"))?;
        let secret = (token.id(), token.roster_part());
        let to = Destination { organisation, group, founding: None };
        let invite = Invite::make(secret, to, u64::MAX / 2, &operator)?;
        let (own, key) = (SealingKey::generate()?, SealingKey::generate()?);
        let join = Join::make(secret, AgentId::from_u128(3), identity.public(), own.public())?;
        let entry = Roster::founding_entry(1, &invite, &join, key.public(), &identity)?;
        Ok(Self { roster: Roster::found(&entry)?, key, identity, environment: "bench".parse()? })
    }

    fn place(&self, number: usize) -> anyhow::Result<Place> {
        let (organisation, group) = (self.roster.organisation(), self.roster.group());
        Ok(Place::secret(organisation, group, &self.environment, &name(number).parse()?))
    }

    fn seal(&self, number: usize, version: u64, content: &[u8]) -> anyhow::Result<Vec<u8>> {
        let (place, key) = (self.place(number)?, self.key.public());
        Ok(SealedSecret::seal(&place, version, 1, &key, content, &self.identity)?.to_json())
    }

    fn verified(&self, number: usize, version: u64, json: &[u8]) -> anyhow::Result<SealedSecret> {
        let sealed = SealedSecret::from_json(json)?;
        sealed.check(&self.place(number)?, &self.roster, version)?;
        Ok(sealed)
    }
}
