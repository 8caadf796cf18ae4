#!/usr/bin/env bash
# Chromium and its driver, for the tests of the operator's page: from the system's packages, where they are not there
# yet and may be installed.
set -euo pipefail

found() { command -v chromium >/dev/null && command -v chromedriver >/dev/null; }

if found; then exit 0; fi
install=()
if command -v apt-get >/dev/null; then
    if [ "$(id -u)" = 0 ]; then install=(env); elif sudo -n true 2>/dev/null; then install=(sudo -n env); fi
fi
if [ ${#install[@]} -gt 0 ]; then
    echo "installing Chromium for the tests of the operator's page" >&2
    quietly=(DEBIAN_FRONTEND=noninteractive apt-get -qq -o=Dpkg::Use-Pty=0)
    packages=(chromium chromium-driver fonts-dejavu-core)
    "${install[@]}" "${quietly[@]}" install -y --no-install-recommends "${packages[@]}" >/dev/null 2>&1 \
        || { "${install[@]}" "${quietly[@]}" update && "${install[@]}" "${quietly[@]}" install -y --no-install-recommends "${packages[@]}" >/dev/null; } \
        || true
fi
if ! found; then
    cat >&2 <<'WORDS'

*** NO CHROMIUM HERE: the operator's page is NOT TESTED.
*** Install the packages `chromium` and `chromium-driver` (Debian), or put both programs on the PATH.

WORDS
    [ -z "${AMP_REQUIRE_CHROMIUM:-}" ] || exit 1
fi
