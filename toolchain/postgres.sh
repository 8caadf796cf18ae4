#!/usr/bin/env bash
# PostgreSQL's programs for the tests that need a server: from the system's packages, where they are not there
# yet and may be installed. Tests start clusters of their own; the system's service is not used.
set -euo pipefail

found() {
    command -v initdb >/dev/null && command -v pg_ctl >/dev/null && return
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

if found; then exit 0; fi
install=()
if command -v apt-get >/dev/null; then
    if [ "$(id -u)" = 0 ]; then install=(env); elif sudo -n true 2>/dev/null; then install=(sudo -n env); fi
fi
if [ ${#install[@]} -gt 0 ]; then
    echo "installing PostgreSQL for the tests of the shared store" >&2
    # a package list that is not there yet is fetched; without the recommendations, and without a server
    # that starts by itself
    quietly=(DEBIAN_FRONTEND=noninteractive apt-get -qq -o=Dpkg::Use-Pty=0)
    "${install[@]}" "${quietly[@]}" install -y --no-install-recommends postgresql >/dev/null 2>&1 \
        || { "${install[@]}" "${quietly[@]}" update && "${install[@]}" "${quietly[@]}" install -y --no-install-recommends postgresql >/dev/null; } \
        || true
fi
if ! found; then
    cat >&2 <<'WORDS'

*** NO POSTGRESQL HERE: the shared store is NOT TESTED.
*** Install the package `postgresql` (Debian, Ubuntu) or put initdb and pg_ctl on the PATH.

WORDS
    [ -z "${AMP_REQUIRE_POSTGRES:-}" ] || exit 1
fi
