#!/usr/bin/env bash
# idl/amp.json is what clients in other languages take; it must be the IDL of this source.
# usage: checked-in-idl.sh check | write, after build-program.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
built=${CARGO_TARGET_DIR:-target}/idl/amp.json
case ${1:-} in
write) cp "$built" idl/amp.json ;;
check)
    diff -u idl/amp.json "$built" || {
        echo "idl/amp.json is stale: write it anew with \`make idl\`, and commit it" >&2
        exit 1
    } ;;
*) echo "usage: checked-in-idl.sh check | write" >&2; exit 2 ;;
esac
