#!/usr/bin/env bash
# What `anchor test` runs on the validator that it started: the Rust suite over RPC, then the stock TypeScript client.
# usage: anchor-suite.sh            needs ANCHOR_PROVIDER_URL and ANCHOR_WALLET, which Anchor sets
#        anchor-suite.sh prepare    builds and installs what the suite needs: after that it needs no network
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
typescript=tests/anchor/typescript
debug=$PWD/target/debug
[[ -z ${CARGO_TARGET_DIR:-} ]] || debug=$(realpath -m "$CARGO_TARGET_DIR")/debug
# rustup sets it below `cargo run`; nothing here needs it
unset RUSTUP_TOOLCHAIN

command -v npm >/dev/null || { echo "anchor-suite: npm is not on the PATH; install Node.js 20.18 or newer" >&2; exit 1; }
# both suites, in one build: features of the workspace, not of one package
suite=amp-validator-check
[[ ! -x toolchain/e2e.sh ]] || suite=amp-e2e
cargo build --locked --workspace --bin amp-credential --bin "$suite"
if [[ ! $typescript/node_modules/.package-lock.json -nt $typescript/package-lock.json ]]; then
    echo "anchor-suite: installing the packages of $typescript" >&2
    (cd $typescript && npm ci --ignore-scripts --no-fund --no-audit >&2)
fi
[[ ${1:-} != prepare ]] || exit 0

: "${ANCHOR_PROVIDER_URL:?run it with \`anchor test --validator legacy\` or \`make anchor-test\`}" "${ANCHOR_WALLET:?}"
export AMP_RPC_URL=$ANCHOR_PROVIDER_URL AMP_PAYER=$ANCHOR_WALLET AMP_NETWORK=solana:localnet
AMP_PROGRAM_ID=$(migrations/program-id.sh localnet)
export AMP_PROGRAM_ID
"$debug/$suite"
(cd $typescript && AMP_CREDENTIAL=$debug/amp-credential npm test)
