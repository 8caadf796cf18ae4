#!/usr/bin/env bash
# Removes what build-program.sh and check/run.sh made. The program's keypair stays.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-target}
rm -rf "$target"/sbpf*-solana-solana "$target/toolchain-check"
rm -f "$target/deploy/amp.so" "$target/deploy/.amp.stamp" "$target/idl/amp.json"
