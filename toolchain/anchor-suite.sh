#!/usr/bin/env bash
# What `anchor test` runs on the validator that it started: the Rust suite over RPC, then the stock TypeScript client.
# usage: anchor-suite.sh            needs ANCHOR_PROVIDER_URL and ANCHOR_WALLET, which Anchor sets
#        anchor-suite.sh prepare    builds and installs what the suite needs: after that it needs no network
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset RUSTUP_TOOLCHAIN # rustup sets it below `cargo run`; nothing here needs it

suite=amp-e2e
cargo build --locked --workspace --bin "$suite"
toolchain/typescript.sh prepare
[[ ${1:-} != prepare ]] || exit 0

: "${ANCHOR_PROVIDER_URL:?run it with \`anchor test --validator legacy\` or \`make anchor-test\`}" "${ANCHOR_WALLET:?}"
export AMP_RPC_URL=$ANCHOR_PROVIDER_URL AMP_PAYER=$ANCHOR_WALLET AMP_NETWORK=solana:localnet
AMP_PROGRAM_ID=$(migrations/program-id.sh localnet)
export AMP_PROGRAM_ID
"${CARGO_TARGET_DIR:-target}/debug/$suite"
toolchain/typescript.sh test
