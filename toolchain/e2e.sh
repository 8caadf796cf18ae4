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
# the validator listens on every address, whatever it is told: where possible, in a network of its own
if [[ -z ${AMP_RPC_URL:-} && $(id -u) == 0 ]] && command -v ip >/dev/null && unshare -n true 2>/dev/null; then
    exec unshare -n bash -c 'ip link set lo up; exec "$0" "$@"' "$binary" "$@"
fi
exec "$binary" "$@"
