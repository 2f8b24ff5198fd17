//! The guides for authors of connectors, followed word for word: every command of them runs, in order, in an empty folder
//! outside the repository, against a real controller and agent.

pub(crate) mod crm;
pub(crate) mod page;
pub(crate) mod workplace;

use std::os::unix::fs::symlink;

use anyhow::Result;
use serde_json::json;
use wherry_tests::world::{Agent, GROUP, World};

use self::{
    crm::Crm,
    page::Counts,
    workplace::{Workplace, guide},
};

#[tokio::test]
async fn from_nothing_to_a_published_connector_and_its_first_run_by_the_guide() -> Result<()> {
    let (world, _agent, place, crm) = tour().await?;
    let page = guide("write-a-connector.md", &[("https://crm.example/api", &crm.url)])?;
    assert_eq!(page.counts(), Counts { run: 6, shown: 4, files: 5, not_run: 2 }, "{:?}", page.not_run);
    place.follow(&page).await?;
    world.close().await
}

#[tokio::test]
async fn a_foreign_connector_is_built_signed_refused_trusted_run_and_revoked_by_the_guide() -> Result<()> {
    let (world, _agent, place, crm) = tour().await?;
    let page = guide("foreign-publisher.md", &[("https://crm.example/api", &crm.url)])?;
    assert_eq!(page.counts(), Counts { run: 9, shown: 7, files: 3, not_run: 0 }, "{:?}", page.not_run);
    place.follow(&page).await?;
    world.close().await
}

/// Where the tour leaves its reader: signed in, with the environment `dev`, an agent in the folder `$T`, and besides a CRM.
async fn tour() -> Result<(World, Agent, Workplace, Crm)> {
    let world = World::start().await?;
    world.api.post("/v1/environments", &json!({ "name": "dev", "group": GROUP })).await?.accepted()?;
    let agent = world.agent("laptop-1").await?;
    let crm = Crm::start().await?;
    let mut place = Workplace::new(&world.programs)?;
    let tour = world.folder().join("tour");
    std::fs::create_dir(&tour)?;
    symlink(agent.data(), tour.join("agent"))?;
    place.set("T", tour);
    place.set("CRM_TOKEN", crm::TOKEN);
    place.sign_in(&world).await?;
    Ok((world, agent, place, crm))
}
