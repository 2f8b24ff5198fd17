//! Programs killed at random moments under load: nothing acknowledged is lost, nothing is recorded twice.
//!
//! `WHERRY_KILLS` says how often, `WHERRY_KILLS_REPORT` where the counts go, and `WHERRY_SEED` which moments. What was
//! checked so far lies beside the report, so that an interrupted suite goes on where it stopped.

mod load;
mod report;
mod verdict;

use std::time::Duration;

use anyhow::{Result, ensure};
use wherry_tests::world::{Agent, World};

use self::{load::Load, report::Report};

/// Kills between two looks at everything that was acknowledged.
const ROUND: u32 = 50;
/// Kills after which another world begins: opening a store takes the longer the more is in it.
const ERA: u32 = 200;
/// Callers that submit at the same time, each waiting for the end of its run.
const CALLERS: usize = 4;
/// Longest time that the load may go on before the next kill.
const PAUSE_MS: u64 = 1_500;
/// A start that is killed before it is over is killed within this time.
const START_MS: u64 = 400;

#[tokio::test]
async fn nothing_acknowledged_is_lost_and_nothing_is_recorded_twice() -> Result<()> {
    let kills = setting("WHERRY_KILLS", 20);
    let mut report = Report::resume(kills)?;
    while report.kills < kills {
        let left = kills - report.kills;
        era(&mut report, ERA.min(left)).await?;
    }
    report.finish()?;
    ensure!(report.lost == 0 && report.recorded_twice == 0, "{report}");
    ensure!(report.acknowledged > u64::from(kills), "there was hardly any load: {report}");
    Ok(())
}

/// So many kills in a world of their own.
async fn era(report: &mut Report, kills: u32) -> Result<()> {
    let world = World::plan().lease_of(15).requests(verdict::RECORDS).start().await?.with_desk().await?;
    world.deploy(&load::project(&world)).await?;
    let agents = [world.enrolled("eu-1", 4).await?, world.enrolled("eu-2", 4).await?];
    let chance = Chance(u64::from(setting("WHERRY_SEED", 1) + report.kills));
    let mut scene = Scene { world, agents, chance };
    scene.warm_up().await?;
    scene.everybody_up().await?;
    let load = Load::start(&scene.world, CALLERS).await?;
    let mut left = kills;
    while left > 0 {
        let round = ROUND.min(left);
        scene.kill_often(round).await?;
        scene.everybody_up().await?;
        report.add(round, load.settle(&scene.world).await?)?;
        eprintln!("{report}");
        left -= round;
    }
    drop(load);
    scene.world.close().await
}

/// Who can be killed.
struct Scene {
    world: World,
    agents: [Agent; 2],
    chance: Chance,
}

/// Who is.
#[derive(Clone, Copy)]
enum Victim {
    Controller,
    Agent(usize),
}

impl Scene {
    async fn kill_often(&mut self, kills: u32) -> Result<()> {
        for kill in 0..kills {
            let victim = match self.chance.below(3) {
                0 => Victim::Controller,
                1 => Victim::Agent(0),
                _ => Victim::Agent(1),
            };
            // Every third one dies while it starts.
            let early = kill % 3 == 2;
            if early {
                self.kill(victim).await?;
                self.launch(victim)?;
            }
            let longest = if early { START_MS } else { PAUSE_MS };
            // The moment has to be any moment.
            tokio::time::sleep(Duration::from_millis(self.chance.below(longest))).await;
            self.kill(victim).await?;
            self.launch(victim)?;
            if let Victim::Controller = victim {
                self.world.controller.ready().await?;
            }
        }
        Ok(())
    }

    /// Lets each agent compile the connector, which would otherwise be all it ever does between two kills.
    async fn warm_up(&mut self) -> Result<()> {
        for agent in &mut self.agents {
            agent.start().await?;
            self.world.run("copy-keyed").end().await?.succeeded()?;
            agent.kill().await?;
        }
        Ok(())
    }

    /// Starts whoever does not run and waits until both agents are welcome.
    async fn everybody_up(&mut self) -> Result<()> {
        for agent in &mut self.agents {
            // One that lost the controller often waits long before it dials again.
            agent.kill().await?;
            agent.start().await?;
        }
        Ok(())
    }

    async fn kill(&mut self, victim: Victim) -> Result<()> {
        match victim {
            Victim::Controller => self.world.controller.kill().await,
            Victim::Agent(one) => self.agents[one].kill().await,
        }
    }

    fn launch(&mut self, victim: Victim) -> Result<()> {
        match victim {
            Victim::Controller => self.world.controller.launch(),
            Victim::Agent(one) => self.agents[one].launch(),
        }
    }
}

/// Chance that can be repeated: SplitMix64, after Steele, Lea and Flood, 2014.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
