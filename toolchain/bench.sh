#!/usr/bin/env bash
# Builds the benchmarks with optimization and runs them from the workspace's root.
# usage: bench.sh [--quick] [--write] [--only path|http|idle|hostile]
#
# With --package, unlike run.sh: nothing else is built with this profile, and this needs a fifth of the crates.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --locked --profile measured --package amp-bench
exec "${CARGO_TARGET_DIR:-target}/measured/amp-bench" "$@"
