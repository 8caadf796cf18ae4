#!/usr/bin/env bash
# The test of a stock Anchor client in TypeScript (tests/anchor/typescript), on a real validator. `make typescript`.
# usage: typescript.sh            on a validator that it starts, and stops
#        typescript.sh prepare    builds and installs what the test needs: after that it needs no network
#        typescript.sh test       on the cluster and with the wallet of ANCHOR_PROVIDER_URL and ANCHOR_WALLET
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
package=tests/anchor/typescript
debug=$PWD/target/debug
[[ -z ${CARGO_TARGET_DIR:-} ]] || debug=$(realpath -m "$CARGO_TARGET_DIR")/debug

prepare() {
    command -v npm >/dev/null || { echo "typescript: npm is not on the PATH; install Node.js 20.18 or newer" >&2; exit 1; }
    # features of the workspace, not of one package
    cargo build --locked --workspace --bin amp-credential --bin amp
    if [[ ! $package/node_modules/.package-lock.json -nt $package/package-lock.json ]]; then
        echo "typescript: installing the packages of $package" >&2
        (cd $package && npm ci --ignore-scripts --no-fund --no-audit >&2)
    fi
}
run_test() {
    : "${ANCHOR_PROVIDER_URL:?}" "${ANCHOR_WALLET:?}"
    (cd $package && AMP_CREDENTIAL=$debug/amp-credential npm test)
}
# in a network of its own
on_a_validator() {
    local folder validator wallet tries=0
    folder=$(mktemp -d)
    wallet=$("$debug/amp" keygen "$folder/wallet.json")
    "$AMP_VALIDATOR" --reset --quiet --ledger "$folder/ledger" --mint "$wallet" --ticks-per-slot 16 --limit-ledger-size 10000 \
        --bpf-program "$(migrations/program-id.sh localnet)" "${CARGO_TARGET_DIR:-target}/deploy/amp.so" >"$folder/log" 2>&1 &
    validator=$!
    # shellcheck disable=SC2064 # as they are now
    trap "kill $validator 2>/dev/null || true; wait $validator 2>/dev/null || true; rm -rf '$folder'" EXIT
    export ANCHOR_PROVIDER_URL=http://127.0.0.1:8899 ANCHOR_WALLET=$folder/wallet.json
    until node "$package/healthy.cjs" "$ANCHOR_PROVIDER_URL"; do
        tries=$((tries + 1))
        if ! kill -0 $validator 2>/dev/null || ((tries == 120)); then
            echo "typescript: the validator does not serve:" >&2
            tail -n 20 "$folder/log" >&2
            exit 1
        fi
        sleep 0.5
    done
    run_test
}

case ${1:-} in
prepare) prepare ;;
test) run_test ;;
on-a-validator) on_a_validator ;;
'')
    AMP_VALIDATOR=$(toolchain/validator.sh)
    export AMP_VALIDATOR
    prepare
    exec "$here/own-network.sh" "$here/typescript.sh" on-a-validator
    ;;
*) echo "usage: typescript.sh [prepare | test]" >&2; exit 2 ;;
esac
