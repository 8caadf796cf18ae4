#!/usr/bin/env bash
# Runs a command in a network of its own, where that is possible: a validator listens on every address, whatever it is
# told. Elsewhere it runs as it is.
# usage: own-network.sh <command> [arguments]
set -euo pipefail
if [[ $(id -u) == 0 ]] && command -v ip >/dev/null && unshare -n true 2>/dev/null; then
    # shellcheck disable=SC2016 # of the inner shell
    exec unshare -n bash -c 'ip link set lo up; exec "$@"' bash "$@"
fi
exec "$@"
