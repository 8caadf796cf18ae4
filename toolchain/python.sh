#!/usr/bin/env bash
# A Python with the packages of a requirements file, for the tests in which clients that are none of ours pay: in a
# folder of its own in the cache, from PyPI.
# usage: python.sh make <requirements>    python.sh where <requirements>: prints the interpreter, if it is there
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
requirements=$2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/amp-python

python=$(command -v python3 || true)
version=$({ [ -z "$python" ] || "$python" -c 'import sys; print(sys.version)'; } 2>/dev/null || true)
home=$cache/$({ cat "$requirements"; echo "$version"; } | sha256sum | cut -c1-16)
# made under another name, so that what is there is whole
if [ -x "$home/bin/python" ]; then found=yes; else found=; fi
if [ "$1" = where ]; then
    [ -z "$found" ] || echo "$home/bin/python"
    exit 0
fi
if [ -n "$found" ]; then exit 0; fi

make_it() {
    rm -rf "$home.new"
    "$python" -m venv "$home.new" && "$home.new/bin/python" -m pip --disable-pip-version-check --quiet install --requirement "$requirements" \
        && mv "$home.new" "$home"
}
install=()
if command -v apt-get >/dev/null; then
    if [ "$(id -u)" = 0 ]; then install=(env); elif sudo -n true 2>/dev/null; then install=(sudo -n env); fi
fi
mkdir -p "$cache"
if [ -n "$python" ]; then
    echo "installing the packages of $requirements" >&2
    # Debian's Python has no venv until its package is there
    if ! "$python" -c 'import ensurepip' 2>/dev/null && [ ${#install[@]} -gt 0 ]; then
        "${install[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3-venv >/dev/null 2>&1 || true
    fi
    make_it || true
fi
if [ ! -x "$home/bin/python" ]; then
    cat >&2 <<WORDS

*** NO PYTHON WITH THE PACKAGES OF $requirements HERE: that others' clients can pay is NOT TESTED.
*** Install Python 3.10 or newer with its `venv` module, and let it reach PyPI.

WORDS
    [ -z "${AMP_REQUIRE_PYTHON:-}" ] || exit 1
fi
