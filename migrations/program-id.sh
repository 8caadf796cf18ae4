#!/usr/bin/env bash
# The program id of each cluster, recorded in sdk/protocol/src/deployment.rs and copied into Anchor.toml.
# usage: program-id.sh                               all of them
#        program-id.sh <cluster>                     its id; fails where none is recorded
#        program-id.sh <cluster> <id> [--replace]    records it
# clusters: localnet, devnet, testnet, mainnet-beta
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
table=sdk/protocol/src/deployment.rs

fail() { echo "program-id: $*" >&2; exit 1; }
constant() {
    case $1 in
    localnet) echo LOCALNET ;;
    devnet) echo DEVNET ;;
    testnet) echo TESTNET ;;
    mainnet-beta) echo MAINNET_BETA ;;
    *) fail "no cluster $1: localnet, devnet, testnet or mainnet-beta" ;;
    esac
}
recorded() { sed -n "s/^pub const $1: Option<&str> = Some(\"\(.*\)\");\$/\1/p" "$table"; }
# edits aside, then renames: a stopped run leaves the one file or the other, never half of one
edit() { sed "$2" "$1" >"$1.new" && cat "$1.new" >"$1" && rm "$1.new"; }

if (($# == 0)); then
    for cluster in localnet devnet testnet mainnet-beta; do
        id=$(recorded "$(constant $cluster)")
        printf '%-14s%s\n' "$cluster" "${id:--}"
    done
    exit
fi
cluster=$1 name=$(constant "$1") || exit
now=$(recorded "$name")
if (($# == 1)); then
    [[ -n $now ]] || fail "no program id is recorded for $cluster"
    echo "$now"
    exit
fi
id=$2
[[ $id =~ ^[1-9A-HJ-NP-Za-km-z]{32,44}$ ]] || fail "$id is no program id"
if [[ -n $now && $now != "$id" && ${3:-} != --replace ]]; then
    fail "$now is recorded for $cluster; channels of another program never meet its own. If that is meant: --replace"
fi
edit "$table" "s/^pub const $name: Option<&str> = .*\$/pub const $name: Option<\&str> = Some(\"$id\");/"
[[ $(recorded "$name") == "$id" ]] || fail "$table has no line for $cluster"
section=${cluster%-beta}
edit Anchor.toml "/^\[programs\.$section\]\$/,/^\[/{/^amp = /d;}"
edit Anchor.toml "s/^\[programs\.$section\]\$/&\namp = \"$id\"/"
echo "recorded for $cluster: $id" >&2
