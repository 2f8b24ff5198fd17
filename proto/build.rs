//! Compiles the .proto files with protox, so that no `protoc` has to be installed.

use std::{env, path::PathBuf};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    println!("cargo:rerun-if-changed=wherry");
    let descriptors = protox::compile(["wherry/agent/v1/session.proto", "wherry/agent/v1/enrollment.proto"], ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    tonic_prost_build::configure()
        .out_dir(out)
        .build_transport(false)
        .codec_path("crate::codec::QuietCodec")
        .bytes(".wherry.agent.v1.FetchConnectorResponse")
        .compile_fds(descriptors)?;
    Ok(())
}
