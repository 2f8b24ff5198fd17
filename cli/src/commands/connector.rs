//! `wherry connector`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use semver::Version;
use serde_json::json;
use wherry_domain::name::Name;

use super::Context;
use crate::client::{Body, Call};
use crate::error::{Outcome, unwritable};
use crate::table::{Column, list, size, text, time};
use crate::{keys, package};

const CONNECTORS: &[Column] = &[
    text("NAME", "name"),
    text("VERSION", "version"),
    text("PUBLISHER", "publisher"),
    list("ACTIVITIES", "activities"),
    size("SIZE", "length"),
    time("PUBLISHED", "published_at"),
];
const CONNECTOR: &[Column] = &[
    text("NAME", "name"),
    text("VERSION", "version"),
    text("PUBLISHER", "publisher"),
    list("ACTIVITIES", "activities"),
    size("SIZE", "length"),
    text("DIGEST", "digest"),
    time("PUBLISHED", "published_at"),
];
const PACKAGE: &[Column] = &[
    text("FILE", "file"),
    text("NAME", "name"),
    text("VERSION", "version"),
    text("DIGEST", "digest"),
    size("SIZE", "length"),
    text("SIGNED BY", "key"),
];

#[derive(Debug, Subcommand)]
pub(crate) enum Connectors {
    /// Lists the newest version of each connector.
    List,
    /// Lists the versions of a connector.
    Versions {
        /// Its name.
        name: Name,
    },
    /// Signs a component and writes its package.
    Package(Package),
    /// Publishes a package.
    Publish {
        /// The package, NAME-VERSION.wherry.
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Package {
    /// The component, built for wasm32-wasip2.
    wasm: PathBuf,
    /// The publisher's private key, made by `wherry key new`.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The connector's descriptor as JSON.
    #[arg(long, value_name = "FILE")]
    descriptor: PathBuf,
    /// The package to write [default: NAME-VERSION.wherry].
    #[arg(short = 'o', long = "out", value_name = "FILE")]
    out: Option<PathBuf>,
    /// The oldest agent that can run it.
    #[arg(long, value_name = "VERSION", default_value = env!("CARGO_PKG_VERSION"))]
    min_agent: Version,
}

impl Connectors {
    pub(super) async fn run(self, context: &Context) -> Outcome {
        match self {
            Self::List => {
                context.screen.list(CONNECTORS, &context.client()?.all(&["connectors"], &[]).await?);
            }
            Self::Versions { name } => {
                let path = ["connectors", name.as_str(), "versions"];
                context.screen.list(CONNECTORS, &context.client()?.all(&path, &[]).await?);
            }
            Self::Package(package) => package.run(context)?,
            Self::Publish { file } => publish(&file, context).await?,
        }
        Ok(())
    }
}

impl Package {
    fn run(self, context: &Context) -> Outcome {
        let key = keys::read(&self.key)?;
        let package = package::assemble(&self.wasm, &self.descriptor, &key, self.min_agent)?;
        let release = &package.release;
        let default = || PathBuf::from(format!("{}-{}.wherry", release.name, release.version));
        let file = self.out.unwrap_or_else(default);
        std::fs::write(&file, &package.bytes).map_err(|error| unwritable(&file, error))?;
        let described = json!({
            "file": file.display().to_string(),
            "name": release.name,
            "version": release.version,
            "digest": release.wasm.sha256,
            "length": release.wasm.length,
            "key": key.public(),
        });
        context.screen.show(PACKAGE, &described);
        Ok(())
    }
}

async fn publish(file: &Path, context: &Context) -> Outcome {
    let package = package::open(file)?;
    let client = context.client()?;
    let spinner = context.screen.spinner(format!("publishing {}", file.display()));
    let answer = client.send(Call::post(&["connectors"], Body::Connector(package))).await;
    spinner.finish_and_clear();
    context.screen.show(CONNECTOR, &answer?);
    Ok(())
}
