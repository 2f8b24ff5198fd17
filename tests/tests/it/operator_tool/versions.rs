//! Versions of a connector by the tool alone: tried, taken over, taken back, kept, let go, and looked back upon.

use super::*;

const PLACE: [&str; 3] = ["http", "--environment", "prod"];

impl Tool {
    /// What a command says to programs.
    async fn json(&self, arguments: &[&str]) -> Result<Value> {
        let said = self.run(&[arguments, &["--output", "json"]].concat(), "").await?;
        serde_json::from_str(&said).with_context(|| format!("wherry {}: {said}", arguments.join(" ")))
    }

    async fn moved(&self, action: &str, rest: &[&str]) -> Result<String> {
        self.run(&[&["connector", action], &PLACE[..], rest, &["--yes"]].concat(), "").await
    }

    async fn standing(&self) -> Result<Value> {
        Ok(self.json(&["connector", "list", "--environment", "prod"]).await?["items"][0].take())
    }
}

/// A world with an agent that has http 1.0.0, and 1.1.0 published; whose group has the tool's operator.
async fn two_versions() -> Result<(World, Tool, Agent)> {
    let world = World::start().await?.with_desk().await?;
    let tool = Tool::of(&world)?;
    let agent = tool.joined(&world, "eu-1").await?;
    keys(&world, "eu-1", "member").await?;
    tool.set_both(&world).await?;
    world.publish(&world.http()?.at("1.1.0")?).await?;
    ready(&tool, "1.0.0").await?;
    Ok((world, tool, agent))
}

async fn ready(tool: &Tool, version: &str) -> Result<()> {
    // It may have to be compiled first.
    wait::within(Duration::from_secs(120), &format!("the agent has http {version}"), async || {
        let http = tool.standing().await?;
        Ok((http["version"] == version && http["agents_ready"] == 1).then_some(()))
    })
    .await
}

#[tokio::test]
async fn an_operator_tries_a_version_takes_it_over_and_goes_back() -> Result<()> {
    let (world, tool, agent) = two_versions().await?;
    let said = tool.moved("upgrade", &["--canary", "50%", "--for", "3s", "--attempts", "2"]).await?;
    ensure!(said.starts_with("http goes from 1.0.0 to 1.1.0 in prod on 50% of the attempts for 3s"), "{said}");
    let settled = wait::within(Duration::from_secs(120), "the canary is settled", async || {
        world.run("read").end().await?.succeeded()?;
        let canary = tool.standing().await?["canary"].take();
        Ok((canary["state"] != "under_way").then_some(canary))
    });
    let settled = settled.await?;
    ensure!(settled["state"] == "everyone" && settled["to"] == "1.1.0", "{settled}");
    let listed = tool.run(&["connector", "list", "--environment", "prod"], "").await?;
    let row = listed.lines().nth(1).context("no row")?;
    ensure!(
        listed.starts_with("NAME\tVERSION\tNEWEST\tPINNED\t") && row.starts_with("http\t1.1.0\t1.1.0\t\t"),
        "{listed}"
    );
    ensure!(row.contains("1.1.0 for everyone: "), "{listed}");

    let said = tool.moved("rollback", &["--why", "it is slow"]).await?;
    ensure!(said.starts_with("http goes from 1.1.0 to 1.0.0 in prod; "), "{said}");
    ready(&tool, "1.0.0").await?;
    let row = tool.run(&["connector", "versions", PLACE[0], PLACE[1], PLACE[2]], "").await?;
    ensure!(row.lines().nth(1).is_some_and(|row| row.starts_with("http\t1.0.0\t1.1.0\tyes\t")), "{row}");
    // There is nothing before the first version: least of all the one that was left.
    let again = tool.moved("rollback", &[]).await;
    ensure!(tool.standing().await?["version"] == "1.0.0", "it went back to what it came from: {again:?}");
    world.run("read").end().await?.succeeded()?;

    let history = tool.json(&["connector", "history", PLACE[0], PLACE[1], PLACE[2]]).await?;
    let newest = &history["items"][0];
    ensure!(newest["from"] == "1.1.0" && newest["to"] == "1.0.0" && newest["signed_by"] == "operator", "{newest}");
    let why = newest["why"].as_str().unwrap_or_default();
    ensure!(why.contains("it is slow"), "{newest}");
    let table = tool.run(&["connector", "history", PLACE[0], PLACE[1], PLACE[2]], "").await?;
    ensure!(table.starts_with("LOCK\tAT\tWHO\tFROM\tTO\tTRYING\tPINNED\tSIGNED BY\tWHY\n"), "{table}");
    ensure!(table.lines().nth(1).is_some_and(|row| row.contains("\t1.1.0\t1.0.0\t")), "{table}");
    drop(agent);
    world.close().await
}

#[tokio::test]
async fn an_operator_pins_a_version_and_lets_it_go() -> Result<()> {
    let (world, tool, agent) = two_versions().await?;
    ensure!(tool.moved("pin", &[]).await?.starts_with("http stays 1.0.0 in prod"));
    ensure!(tool.standing().await?["pinned"] == true);
    let refused = tool.moved("upgrade", &[]).await.err().context("a pinned connector moved")?.to_string();
    ensure!(refused.contains("lock.pinned"), "{refused}");
    let free = tool.json(&["connector", "unpin", PLACE[0], PLACE[1], PLACE[2], "--yes"]).await?;
    ensure!(free["to"] == "1.0.0" && free["lock"]["connectors"]["http"]["pinned"].as_bool() != Some(true), "{free}");
    let moved = tool.json(&["connector", "upgrade", PLACE[0], PLACE[1], PLACE[2], "--yes"]).await?;
    ensure!(moved["from"] == "1.0.0" && moved["to"] == "1.1.0", "{moved}");
    ready(&tool, "1.1.0").await?;
    drop(agent);
    world.close().await
}

#[tokio::test]
async fn policies_and_aliases_are_set_shown_and_taken_back_and_doubts_are_told() -> Result<()> {
    let (world, tool, agent) = two_versions().await?;
    let set = ["policy", "set", "max_run_time", "30m", "--environment", "prod"];
    ensure!(tool.run(&set, "").await? == "max_run_time is 30m for prod\n");
    let table = tool.run(&["policy", "list", "--environment", "prod"], "").await?;
    ensure!(
        table.starts_with("POLICY\tVALUE\tDEFAULT\tSET AT\t")
            && table.contains("\nmax_run_time\t30m\t1d\tenvironment\t")
    );
    let all = tool.json(&["policy", "list", "--environment", "prod"]).await?;
    let ours = all["items"].as_array().and_then(|all| all.iter().find(|one| one["key"] == "max_run_time"));
    ensure!(ours.is_some_and(|one| one["value"] == "30m" && one["set_at"] == "environment"), "{all}");
    let unset = tool.json(&["policy", "unset", "max_run_time", "--environment", "prod"]).await?;
    ensure!(unset["set_at"] == "default", "{unset}");
    let warned = tool.json(&["policy", "set", "allowed_publishers", "nobody-such", "--environment", "prod"]).await?;
    let warnings = warned["warnings"].to_string();
    ensure!(warnings.contains("no publisher nobody-such") && warnings.contains("connector http 1.0.0"), "{warned}");
    tool.run(&["policy", "unset", "allowed_publishers", "--environment", "prod"], "").await?;

    let place = ["--project", "desk", "--environment", "prod"];
    let said = tool.run(&[&["alias", "set", "crm", "desk"], &place[..]].concat(), "").await?;
    ensure!(said == "crm is desk in prod from the next deployment on\n", "{said}");
    let said = tool.json(&[&["alias", "set", "crm", "nosuch"], &place[..]].concat()).await?;
    ensure!(said["aliases"]["crm"] == "nosuch", "{said}");
    let warnings = said["warnings"].to_string();
    ensure!(warnings.contains("declares no alias crm") && warnings.contains("has no connection nosuch"), "{said}");
    let table = tool.run(&["alias", "list", "--environment", "prod"], "").await?;
    ensure!(table == "PROJECT\tALIAS\tCONNECTOR\tCONNECTION\tDEPLOYED\ndesk\tcrm\t\tnosuch\t\n", "{table}");
    tool.run(&[&["alias", "remove", "crm"], &place[..]].concat(), "").await?;
    ensure!(tool.json(&["alias", "list", "--environment", "prod"]).await?["items"] == serde_json::json!([]));
    drop(agent);
    world.close().await
}

#[tokio::test]
async fn an_action_is_called_and_a_project_is_exported() -> Result<()> {
    let (world, tool, agent) = two_versions().await?;
    let with = r#"{"path":"/api/issues","body":{"title":"{{ record.title }}"}}"#;
    let records = r#"[{"title":"one"},{"title":"two"}]"#;
    let call = ["action", "call", "tracker", "send", "--environment", "prod", "--with", with, "--records", records];
    // What it says is JSON, whatever the format.
    for arguments in [call.to_vec(), [&call[..], &["--output", "json"]].concat()] {
        let done: Value = serde_json::from_str(&tool.run(&arguments, "").await?)?;
        ensure!(done["written"] == 2 && done["connection"] == "tracker", "{done}");
    }
    ensure!(world.sandbox.ledger().await?.created == 4, "each call is one of its own");
    for (folder, format) in [("table", "table"), ("json", "json")] {
        let folder = world.folder().join(folder);
        let to = folder.to_str().context("a path that is text")?;
        let arguments = ["project", "export", "desk", "--environment", "prod", "--to", to, "--output", format];
        let said = tool.run(&arguments, "").await?;
        ensure!(format == "table" || serde_json::from_str::<Value>(&said).is_ok(), "{said}");
        ensure!(std::fs::read_to_string(folder.join("wherry.yaml"))?.contains("name: desk"), "{said}");
        let read = std::fs::read_to_string(folder.join("operations/read.yaml"))?;
        ensure!(read.contains("connection: desk"), "{read}");
        let checked = tool.run(&["project", "check", to], "").await?;
        ensure!(checked.contains("desk"), "{checked}");
    }
    drop(agent);
    world.close().await
}
