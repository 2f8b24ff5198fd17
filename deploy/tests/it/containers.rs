//! The container files, as far as they can be judged without building an image.

use std::path::Path;

use wherry_agent::config::Config as Agent;
use wherry_controller::config::Config as Controller;

const IMAGES: [&str; 2] = ["controller.Dockerfile", "agent.Dockerfile"];

#[test]
fn the_controller_accepts_the_settings_of_the_compose_file() {
    let settings = settings("WHERRY_CONTROLLER__");
    assert!(!settings.is_empty());
    let config = Controller::load(None, &settings).unwrap();
    assert_eq!(config.public_host(), Some("controller"));
    assert!(config.web.allow_plain);
}

#[test]
fn the_agent_accepts_the_settings_of_the_compose_file() {
    let settings = settings("WHERRY_AGENT__");
    assert!(!settings.is_empty());
    assert_eq!(Agent::load(None, &settings).unwrap().slots, 8);
}

#[test]
fn plain_http_is_published_on_loopback_alone() {
    let compose = text("deploy/compose.yaml");
    let published: Vec<_> =
        compose.lines().map(str::trim).filter(|line| line.starts_with("- ") && line.contains("8443")).collect();
    assert_eq!(published, ["- \"127.0.0.1:8443:8443\""]);
}

#[test]
fn no_image_runs_as_root_or_carries_the_compiler() {
    for image in IMAGES {
        let text = text(&format!("deploy/{image}"));
        let (_, last_stage) = text.rsplit_once("\nFROM ").unwrap();
        assert!(last_stage.contains("\nUSER nonroot\n"), "{image}");
        assert!(!last_stage.starts_with("rust:"), "{image}");
    }
}

#[test]
fn the_images_are_built_with_the_toolchain_of_the_workspace() {
    let toolchain = text("rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    for image in IMAGES {
        let set = format!("\nENV RUSTUP_TOOLCHAIN={channel}\n");
        assert!(text(&format!("deploy/{image}")).contains(&set), "{image} uses another toolchain than {channel}");
    }
}

#[test]
fn the_build_context_holds_every_member_of_the_workspace() {
    let workspace = text("Cargo.toml");
    let (_, members) = workspace.split_once("\nmembers = [").unwrap();
    let (members, _) = members.split_once(']').unwrap();
    for member in members.split('"').skip(1).step_by(2) {
        let top = member.split('/').next().unwrap();
        for image in IMAGES {
            let context = text(&format!("deploy/{image}.dockerignore"));
            let kept = context.lines().any(|line| line == format!("!{top}") || line == format!("!{top}/Cargo.toml"));
            assert!(kept, "{image}.dockerignore leaves {member} out");
        }
    }
}

/// The variables of the compose file that begin with `prefix`, as keys and values of a configuration.
fn settings(prefix: &str) -> Vec<(String, String)> {
    let compose = text("deploy/compose.yaml");
    let setting = |line: &str| {
        let (key, value) = line.trim().strip_prefix(prefix)?.split_once(": ")?;
        Some((key.to_lowercase().replace("__", "."), value.trim_matches('"').to_owned()))
    };
    compose.lines().filter_map(setting).collect()
}

/// A file of the workspace.
fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}
