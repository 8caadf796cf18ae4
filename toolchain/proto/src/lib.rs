//! Writes the Rust of the workspace's `.proto` files. The result is checked in, so that nobody who builds the SDK needs
//! a protobuf compiler; the test says when it is not what the `.proto` says any more, and `AMP_BLESS=1` writes it anew.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// A package: the folder that its files are named from, its file, and what comes of it.
pub struct Package {
    folder: &'static str,
    file: &'static str,
    name: &'static str,
    /// The Rust, below the workspace.
    pub generated: &'static str,
}

/// All of them.
pub const PACKAGES: [Package; 3] = [
    Package {
        folder: "proto",
        file: "amp/v1/payments.proto",
        name: "amp.v1",
        generated: "sdk/src/grpc/generated/amp.v1.rs",
    },
    Package {
        folder: "examples/grpc/proto",
        file: "files.proto",
        name: "files.v1",
        generated: "examples/grpc/src/generated/files.v1.rs",
    },
    Package {
        folder: "tests/e2e/proto",
        file: "market.proto",
        name: "market.v1",
        generated: "tests/e2e/src/generated/market.v1.rs",
    },
];

/// The workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The Rust of a package as its `.proto` is now.
pub fn generate(package: &Package) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let descriptors = protox::compile([package.file], [root().join(package.folder)]);
    let descriptors = descriptors.context("the .proto does not compile")?;
    // whoever wants the transport builds it and hands it over
    let builder = tonic_prost_build::configure().build_transport(false).out_dir(folder.path());
    // so that what is written is the same each time
    builder.btree_map(".").compile_fds(descriptors).context("no Rust comes of the .proto")?;
    let file = format!("{}.rs", package.name);
    std::fs::read_to_string(folder.path().join(&file)).context(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_checked_in_is_what_the_proto_says() {
        for package in PACKAGES {
            let (path, generated) = (root().join(package.generated), generate(&package).unwrap());
            if std::env::var_os("AMP_BLESS").is_some() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &generated).unwrap();
            }
            let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(checked_in == generated, "{} is stale: run `make bless`", package.generated);
        }
    }
}
