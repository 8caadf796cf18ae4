#!/usr/bin/env bash
# Runs tests/validator against a real validator: $AMP_VALIDATOR, else the one on the PATH, else one built
# from the crate registry into the cache (about half an hour on two cores, once). `make validator-check`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=4.2.2 # the newest that builds with the workspace's Rust
cache=${XDG_CACHE_HOME:-$HOME/.cache}/amp-validator/$version

if [[ -z ${AMP_VALIDATOR:-} ]] && ! command -v solana-test-validator >/dev/null; then
    export AMP_VALIDATOR=$cache/bin/solana-test-validator
    if [[ ! -x $AMP_VALIDATOR ]]; then
        missing=()
        for package in clang libclang-dev llvm-dev protobuf-compiler libudev-dev cmake pkg-config libssl-dev; do
            dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
        done
        if ((${#missing[@]})); then
            echo "validator-check: install these first: apt-get install -y ${missing[*]}" >&2
            exit 1
        fi
        echo "validator-check: building solana-test-validator $version (about half an hour, once)" >&2
        CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_LTO=off \
            CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_STRIP=debuginfo \
            cargo install agave-validator --version "$version" --bin solana-test-validator --locked --root "$cache"
    fi
fi
cargo build --locked --workspace --bin amp-validator-check
binary=${CARGO_TARGET_DIR:-target}/debug/amp-validator-check
# the validator listens on every address, whatever it is told: where possible, in a network of its own
if [[ $(id -u) == 0 ]] && command -v ip >/dev/null && unshare -n true 2>/dev/null; then
    exec unshare -n bash -c 'ip link set lo up; exec "$0"' "$binary"
fi
exec "$binary"
