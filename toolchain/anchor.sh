#!/usr/bin/env bash
# Prints the path of the Anchor CLI: the one on the PATH, else one that is built from the crate registry into the
# cache, once: 10 to 30 minutes on two cores.
set -euo pipefail
version=1.2.2 # as in Anchor.toml; 2.0 needs a newer Rust than the workspace's
cache=${XDG_CACHE_HOME:-$HOME/.cache}/amp-anchor/$version
binary=$cache/bin/anchor

if found=$(command -v anchor); then
    echo "$found"
    exit
fi
mkdir -p "$cache"
# two runs at once would build it twice
exec 9>"$cache/.lock"
flock -n 9 || { echo "anchor.sh: waiting for another installation" >&2; flock 9; }
if [[ ! -x $binary ]]; then
    if command -v dpkg >/dev/null && ! dpkg -s libudev-dev libssl-dev pkg-config >/dev/null 2>&1; then
        echo "anchor.sh: install these first: apt-get install -y libudev-dev libssl-dev pkg-config" >&2
        exit 1
    fi
    echo "anchor.sh: building anchor-cli $version into $cache, once: 10 to 30 minutes on two cores" >&2
    # whatever the caller builds with is not for Anchor
    env -u CARGO_TARGET_DIR -u RUSTFLAGS CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=0 \
        CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_STRIP=debuginfo \
        cargo install anchor-cli --version "$version" --locked --root "$cache" >&2
fi
echo "$binary"
