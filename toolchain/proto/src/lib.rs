//! Writes the Rust of `proto/` into the SDK. The result is checked in, so that nobody who builds the SDK needs a
//! protobuf compiler; the test says when it is not what the `.proto` says any more, and `AMP_BLESS=1` writes it anew.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The files that are compiled, below `proto/`.
const FILES: [&str; 1] = ["amp/v1/payments.proto"];
/// What comes of them, below the workspace.
pub const GENERATED: &str = "sdk/src/grpc/generated/amp.v1.rs";

/// The workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The Rust of the `.proto` as it is now.
pub fn generate() -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let descriptors =
        protox::compile(FILES, [root().join("proto")]).context("the .proto does not compile")?;
    // whoever wants the transport builds it and hands it over
    let builder = tonic_prost_build::configure().build_transport(false).out_dir(folder.path());
    // so that what is written is the same each time
    builder.btree_map(".").compile_fds(descriptors).context("no Rust comes of the .proto")?;
    std::fs::read_to_string(folder.path().join("amp.v1.rs")).context("amp.v1 is not among what was written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_checked_in_is_what_the_proto_says() {
        let (path, generated) = (root().join(GENERATED), generate().unwrap());
        if std::env::var_os("AMP_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &generated).unwrap();
        }
        let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(checked_in == generated, "{GENERATED} is stale: run `make bless`");
    }
}
