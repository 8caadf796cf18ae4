#!/usr/bin/env bash
# What a user of Anchor does: `anchor build`, then `anchor test` on a validator that Anchor starts, with a wallet of
# its own. Anchor, the validator and `cargo build-sbf` come from the PATH, or from the cache. `make anchor-test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset RUSTUP_TOOLCHAIN # Anchor's IDL build would reinstall the toolchain that it names

# first, since its packages are Anchor's too
validator=$(toolchain/validator.sh)
anchor=$(toolchain/anchor.sh)
PATH=$(dirname "$anchor"):$(dirname "$validator"):$PATH
command -v cargo-build-sbf >/dev/null || PATH=$(toolchain/sbf/install.sh | tail -n 1)/bin:$PATH
export PATH
toolchain/anchor-suite.sh prepare

echo "anchor-test: anchor build" >&2
anchor build -p amp
toolchain/checked-in-idl.sh check

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
anchor keygen new --no-passphrase --silent --outfile "$folder/wallet.json" >/dev/null
test=(anchor test --skip-build --validator legacy --provider.wallet "$folder/wallet.json")
echo "anchor-test: ${test[*]}" >&2
toolchain/own-network.sh "${test[@]}"
