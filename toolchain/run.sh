#!/usr/bin/env bash
# Builds one of the workspace's programs and runs it from the workspace's root.
# usage: run.sh <program> <arguments>
#
# Not `cargo run --package`: it would choose features for that package alone and compile most of the 650
# crates once more that `cargo test --workspace` has compiled or is about to.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --locked --workspace --bin "$1"
exec "${CARGO_TARGET_DIR:-target}/debug/$1" "${@:2}"
