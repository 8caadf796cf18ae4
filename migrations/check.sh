#!/usr/bin/env bash
# Refuses to deploy bytecode under an id that it does not declare: every instruction of it would fail. Compares
# the IDL, which is built with the bytecode, with the keypair. Anchor's `pre_deploy` hook; deploy.sh runs it too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-target}
key=${AMP_PROGRAM_KEYPAIR:-$target/deploy/amp-keypair.json} idl=$target/idl/amp.json
[[ -f $idl ]] || { echo "deploy: no $idl: build first" >&2; exit 1; }
[[ -f $key ]] || { echo "deploy: no program keypair at $key" >&2; exit 1; }
declared=$(sed -n 's/^  "address": "\(.*\)",\?$/\1/p' "$idl")
id=$(anchor keygen pubkey "$key" | grep -oE '[1-9A-HJ-NP-Za-km-z]{32,44}' | tail -n 1)
if [[ $declared != "$id" ]]; then
    cat >&2 <<WORDS
deploy: what was built declares $declared, the key $key is that of $id.
Deploy with \`migrations/deploy.sh <cluster>\`, or record the id (migrations/program-id.sh) and build for that cluster
(\`anchor build -- --features <cluster>\`; no feature for localnet).
WORDS
    exit 1
fi
