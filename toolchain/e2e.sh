#!/usr/bin/env bash
# Runs tests/cluster: against a validator of its own, or against the cluster of AMP_RPC_URL. `make e2e`.
# usage: e2e.sh <arguments of amp-e2e>
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ -z ${AMP_RPC_URL:-} ]]; then
    AMP_VALIDATOR=$(toolchain/validator.sh)
    export AMP_VALIDATOR
fi
cargo build --locked --workspace --bin amp-e2e
target=${CARGO_TARGET_DIR:-target}
binary=$target/debug/amp-e2e
if [[ -z ${AMP_PROGRAM_ID:-} && " $* " != *" --list "* ]]; then
    # deployed as users do it: under a key of one's own, which stays where it is and is never committed
    export AMP_PROGRAM_KEY=${AMP_PROGRAM_KEY:-$target/e2e-program.json}
    id=$("$binary" --key "$AMP_PROGRAM_KEY")
    AMP_PROGRAM=$(toolchain/own-program.sh "$id")
    export AMP_PROGRAM
fi
# a cluster that is somewhere else is out of reach of a network of one's own
[[ -z ${AMP_RPC_URL:-} ]] || exec "$binary" "$@"
exec toolchain/own-network.sh "$binary" "$@"
