#!/usr/bin/env bash
# Prints the path of a solana-test-validator: $AMP_VALIDATOR, else the one on the PATH, else one that is built from
# the crate registry into the cache, once: 25 to 60 minutes on two cores, most of it RocksDB.
set -euo pipefail
version=4.2.2 # the newest that builds with the workspace's Rust
cache=${XDG_CACHE_HOME:-$HOME/.cache}/amp-validator/$version
binary=$cache/bin/solana-test-validator

if [[ -n ${AMP_VALIDATOR:-} ]]; then
    [[ -x $AMP_VALIDATOR ]] || { echo "validator.sh: AMP_VALIDATOR is $AMP_VALIDATOR, which is no program" >&2; exit 1; }
    echo "$AMP_VALIDATOR"
    exit
fi
if found=$(command -v solana-test-validator); then
    echo "$found"
    exit
fi

# it is linked against these, too
packages=(clang libclang-dev llvm-dev protobuf-compiler libudev-dev cmake pkg-config libssl-dev iproute2)
missing=()
if command -v dpkg >/dev/null; then
    for package in "${packages[@]}"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
fi
if ((${#missing[@]})); then
    install=()
    if [[ $(id -u) == 0 ]]; then install=(env); elif sudo -n true 2>/dev/null; then install=(sudo -n env); fi
    if ((${#install[@]} == 0)); then
        echo "validator.sh: install these first: apt-get install -y ${missing[*]}" >&2
        exit 1
    fi
    echo "validator.sh: installing ${missing[*]}" >&2
    quietly=(DEBIAN_FRONTEND=noninteractive apt-get -qq -o=Dpkg::Use-Pty=0)
    "${install[@]}" "${quietly[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 \
        || { "${install[@]}" "${quietly[@]}" update >&2 && "${install[@]}" "${quietly[@]}" install -y --no-install-recommends "${missing[@]}" >&2; }
fi

mkdir -p "$cache"
# two runs at once would build it twice
exec 9>"$cache/.lock"
flock 9
if [[ ! -x $binary ]]; then
    echo "validator.sh: building solana-test-validator $version into $cache, once: 25 to 60 minutes on two cores" >&2
    # whatever the caller builds with is not for the validator
    env -u CARGO_TARGET_DIR -u RUSTFLAGS CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=0 \
        CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_STRIP=debuginfo \
        cargo install agave-validator --version "$version" --bin solana-test-validator --locked --root "$cache" >&2
fi
echo "$binary"
