#!/usr/bin/env bash
# Deploys the program under the key of your own deployment, or upgrades it: builds for the cluster, checks that the
# bytecode declares the key's id, deploys. docs/deploy.md has what comes before and after.
# usage: migrations/deploy.sh <cluster> [payer.json]
#   AMP_PROGRAM_KEYPAIR   the program's key; target/deploy/amp-keypair.json, made where there is none
#   AMP_DEPLOY_URL        the RPC node; Anchor's for the cluster
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
fail() { echo "deploy: $*" >&2; exit 1; }

cluster=${1:-}
case $cluster in
localnet) features=() ;;
devnet | testnet | mainnet-beta) features=(-- --features "$cluster") ;;
*) fail "usage: migrations/deploy.sh <localnet|devnet|testnet|mainnet-beta> [payer.json]" ;;
esac
payer=${2:-$HOME/.config/solana/id.json}
target=${CARGO_TARGET_DIR:-target}
export AMP_PROGRAM_KEYPAIR=${AMP_PROGRAM_KEYPAIR:-$target/deploy/amp-keypair.json}
command -v anchor >/dev/null || fail "anchor is not on the PATH: install Anchor 1.2.2 (https://www.anchor-lang.com)"
[[ -f $payer ]] || fail "no payer keypair at $payer; make one with \`anchor keygen new --outfile $payer\`"
unset RUSTUP_TOOLCHAIN # Anchor's IDL build would reinstall the toolchain that it names

if [[ ! -f $AMP_PROGRAM_KEYPAIR ]]; then
    [[ $cluster != mainnet-beta ]] || fail "no program keypair at $AMP_PROGRAM_KEYPAIR; docs/deploy.md says how to make and keep one"
    mkdir -p "$(dirname "$AMP_PROGRAM_KEYPAIR")"
    anchor keygen new --no-passphrase --silent --outfile "$AMP_PROGRAM_KEYPAIR" >/dev/null
fi
id=$(anchor keygen pubkey "$AMP_PROGRAM_KEYPAIR" | grep -oE '[1-9A-HJ-NP-Za-km-z]{32,44}' | tail -n 1)
known=$(migrations/program-id.sh "$cluster" 2>/dev/null || true)
if [[ $cluster == mainnet-beta ]]; then
    # a verifiable build is one of a commit: the id must be in it
    [[ $known == "$id" ]] || fail "the key is that of $id, recorded is ${known:-none}: migrations/program-id.sh mainnet-beta $id, commit, run this again"
    [[ -z $(git status --porcelain) ]] || fail "uncommitted changes: nobody could verify such a build"
elif [[ -z $known ]]; then
    migrations/program-id.sh "$cluster" "$id"
elif [[ $known != "$id" ]]; then
    fail "$known is recorded for $cluster, the key $AMP_PROGRAM_KEYPAIR is that of $id. To deploy one of your own: migrations/program-id.sh $cluster $id --replace"
fi

echo "deploy: program $id on $cluster; back up $AMP_PROGRAM_KEYPAIR, nothing else can be deployed under this id" >&2
program=$target/deploy/amp.so verifiable=()
if [[ $cluster == mainnet-beta ]]; then program=$target/verifiable/amp.so verifiable=(--verifiable); fi
# an empty array is an error to the bash of macOS
anchor build -p amp ${verifiable[@]+"${verifiable[@]}"} ${features[@]+"${features[@]}"}
migrations/check.sh
# Anchor's name for it
provider=${AMP_DEPLOY_URL:-${cluster%-beta}}
anchor program deploy "$program" --program-keypair "$AMP_PROGRAM_KEYPAIR" --no-idl \
    --provider.cluster "$provider" --provider.wallet "$payer"
cat >&2 <<WORDS
deploy: done. Clients and services of this source pin $id on $cluster. Others are told:
  ServiceConfig::program_id, Client::builder().program_id, amp --program-id, AMP_PROGRAM_ID
What to check now, and who may replace the program: docs/deploy.md
WORDS
