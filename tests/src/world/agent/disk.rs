//! What an agent has on its disk: its settings, and everything else when the disk is copied.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};

use super::Agent;

impl Agent {
    /// Gives it a setting from its next start on, as a line of its configuration.
    ///
    /// # Errors
    /// If its configuration cannot be written.
    pub fn set(&self, line: &str) -> Result<()> {
        let text = fs::read_to_string(self.config())?;
        Ok(fs::write(self.config(), format!("{text}{line}\n"))?)
    }

    /// Lets it reach the controller at another address from its next start on, as through a proxy.
    ///
    /// # Errors
    /// If its configuration cannot be written.
    pub fn reach_controller_at(&self, address: SocketAddr) -> Result<()> {
        let text = fs::read_to_string(self.config())?;
        let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("controller_url")).collect();
        fs::write(self.config(), format!("controller_url = \"https://{address}\"\n{}\n", kept.join("\n")))?;
        Ok(())
    }

    /// A second agent with a copy of everything this one keeps, as from a cloned disk.
    ///
    /// # Errors
    /// If the folder cannot be copied.
    pub fn clone_disk(&self) -> Result<Self> {
        let folder = self.data.parent().context("the data folder lies nowhere")?;
        let name = format!("{}-copy", self.name);
        let copied = folder.with_file_name(&name);
        copy_folder(folder, &copied)?;
        let log = self.log.with_file_name(format!("{name}.log"));
        let agent = Self {
            name: self.name.clone(),
            program: self.program.clone(),
            data: copied.join("data"),
            log,
            process: None,
            namespace: self.namespace.clone(),
            environment: self.environment.clone(),
            home: Arc::clone(&self.home),
        };
        let text = fs::read_to_string(agent.config())?;
        agent.configure(&text.lines().filter(|line| !line.starts_with("data_dir")).collect::<Vec<_>>().join("\n"))?;
        Ok(agent)
    }

    pub(super) fn config(&self) -> PathBuf {
        self.data.with_file_name("agent.toml")
    }

    /// Writes its owner's policy, beside its configuration, as editors do it: another file under the same name. Gives
    /// the file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn configure_policy(&self, text: &str) -> Result<PathBuf> {
        let file = self.config().with_file_name("policy.toml");
        let new = file.with_extension("new");
        fs::write(&new, text)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
        fs::rename(new, &file)?;
        Ok(file)
    }

    /// Writes its configuration anew: these lines beside its data folder.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn configure(&self, rest: &str) -> Result<()> {
        Ok(fs::write(self.config(), format!("data_dir = {:?}\n{rest}", self.data.display().to_string()))?)
    }
}

/// Copies a folder with everything below it; permissions stay.
pub(in crate::world) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
