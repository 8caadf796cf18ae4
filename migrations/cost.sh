#!/usr/bin/env bash
# What deploying costs, from the size of the bytecode: rent and signatures, without priority fees. Needs no cluster;
# `solana rent <bytes>` asks one. usage: migrations/cost.sh [amp.so]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=${1:-${CARGO_TARGET_DIR:-target}/deploy/amp.so}
[[ -f $program ]] || { echo "cost: no $program; build it with \`make program\` or \`anchor build\`" >&2; exit 1; }
bytes=$(wc -c <"$program" | tr -d ' ')

# lamports that make an account of so many bytes exempt from rent: two years at 3,480 a byte and year, and 128
# bytes for the account itself
rent() { echo $((($1 + 128) * 3480 * 2)); }
sol() { printf '%d.%09d' $(($1 / 1000000000)) $(($1 % 1000000000)); }
line() { printf '%-58s %14s SOL\n' "$1" "$(sol "$2")"; }

data=$(rent $((bytes + 45))) account=$(rent 36) buffer=$(rent $((bytes + 37)))
# a transaction holds about a thousand bytes of it, and one signature where the payer is the authority
writes=$(((bytes + 999) / 1000 * 5000))
echo "$program: $bytes bytes"
line "program data, $((bytes + 45)) bytes" "$data"
line "program account, 36 bytes" "$account"
line "signatures of some $(((bytes + 999) / 1000)) transactions that write it" "$writes"
line "a first deployment, in all" $((data + account + writes + 15000))
line "an upgrade needs for a while, and gets back" "$buffer"
line "an upgrade costs" $((writes + 10000))
