#!/usr/bin/env bash
# Deploys the program under a key of your own: makes the key where there is none, sets the id in the
# source, builds with the official tools, deploys. Usage: migrations/deploy.sh <cluster> [payer.json]
set -euo pipefail
cd "$(dirname "$0")/.."

cluster=${1:?"usage: migrations/deploy.sh <localnet|devnet|testnet|mainnet-beta> [payer.json]"}
payer=${2:-$HOME/.config/solana/id.json}
key=target/deploy/amp-keypair.json

for tool in anchor solana solana-keygen; do
    command -v "$tool" >/dev/null || { echo "deploy: $tool is not on the PATH; install the Solana and Anchor tools" >&2; exit 1; }
done
[[ -f $payer ]] || { echo "deploy: no payer keypair at $payer" >&2; exit 1; }
if [[ $cluster == mainnet-beta && -n $(git status --porcelain) ]]; then
    echo "deploy: uncommitted changes; nobody could verify such a build" >&2
    exit 1
fi

mkdir -p target/deploy
[[ -f $key ]] || solana-keygen new --silent --no-bip39-passphrase --outfile "$key"
anchor keys sync
id=$(solana-keygen pubkey "$key")
echo "deploy: program id $id; back up $key, it is the only way to deploy under this id"

# a verifiable build: anyone can rebuild these bytes from this commit
if [[ $cluster == mainnet-beta ]]; then anchor build --verifiable -p amp; else anchor build -p amp; fi
anchor deploy -p amp --provider.cluster "$cluster" --provider.wallet "$payer"
echo "deploy: done. Configure both sides with program id $id:"
echo "  ServiceConfig::program_id, Client::builder().program_id, amp --program-id"
