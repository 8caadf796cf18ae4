#!/usr/bin/env bash
# Tries AMP on a chain of one's own.
# usage: localnet.sh chain [options of amp-localnet]        the chain, until it is stopped
#        localnet.sh serve <upstream> <price> [options]     the gateway in front of an API
#        localnet.sh pay <url> [options]                    a paid call
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bin="${CARGO_TARGET_DIR:-target}/debug"
settings=target/localnet/env

# both at once, so that the second and third terminal need not compile
if [ "$1" = chain ]; then
    cargo build --locked --workspace --bin amp-localnet --bin amp
    exec "$bin/amp-localnet" "${@:2}"
fi

# the first terminal may still be compiling
[ -f "$settings" ] || echo "waiting for the chain (make localnet)" >&2
until [ -f "$settings" ]; do sleep 1; done
# shellcheck source=/dev/null
. "$settings"

case "$1" in
serve)
    [ -n "$2" ] || { echo "say where the API is: make serve UPSTREAM=http://127.0.0.1:8000" >&2; exit 2; }
    exec "$bin/amp" serve --store "$AMP_SERVICE_STORE" --settle-interval 10 --upstream "$2" --price "$3" "${@:4}"
    ;;
pay)
    [ -n "$2" ] || { echo "say what is called: make pay URL=http://127.0.0.1:8402/" >&2; exit 2; }
    exec "$bin/amp" call "$2" --yes "${@:3}"
    ;;
*)
    echo "usage: localnet.sh chain|serve|pay" >&2
    exit 2
    ;;
esac
