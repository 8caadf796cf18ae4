#!/usr/bin/env bash
# Installs this project's own SBF toolchain (see ../README.md) below the user's cache folder, once.
# Progress goes to stderr. The last line on stdout is the folder: put its bin/ first in the PATH.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rust=1.96.0   # std.patch fits this release; Debian's rustc-web has LLVM 22
linker=0.2.6  # sbpf-linker, from the crate registry
llvm=23.1.1   # llvm-wheels.txt; LLVM 22's BPF backend can't pass a sixth argument
official="install the official Solana tools instead (they bring \`cargo build-sbf\`); \`make program\` then uses those"

say() { echo "sbf toolchain: $*" >&2; }
fail() { say "$@"; exit 1; }
# Long commands: their output only matters when they fail.
quietly() { "$@" >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; fail "failed: $*"; }; }
installed_rust() { /usr/bin/rustc --version 2>/dev/null | cut -d' ' -f2; }

command -v apt-get >/dev/null || fail "made for Debian, and this system has no apt-get; $official"

cache=${XDG_CACHE_HOME:-$HOME/.cache}/amp-toolchain
# Any change of these files makes another folder, so none is ever changed in place.
prefix=$cache/$(cd "$here" && find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-16)
if [[ -d $prefix && $(installed_rust) == "$rust" ]]; then
    echo "$prefix"
    exit
fi

mkdir -p "$cache"
exec 9>"$cache/.lock"
flock -n 9 || { say "waiting for another installation"; flock 9; }
# Folders get their names only when complete; what an interrupted run left is not used.
rm -rf "$cache"/.work.*
work=$(mktemp -d "$cache/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT

install_packages() {
    local packages=(rustc-web cargo-web rust-web-src llvm-22-dev g++ patch)
    python3 -m pip --version >/dev/null 2>&1 || packages+=(python3 python3-pip)
    ! dpkg -s "${packages[@]}" >/dev/null 2>&1 || return 0

    local root=()
    if [[ $(id -u) != 0 ]]; then
        command -v sudo >/dev/null ||
            fail "needs these Debian packages, and neither root nor sudo to install them: ${packages[*]}. Install them, or $official"
        root=(sudo)
    fi
    local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300)
    candidate() { LC_ALL=C apt-cache policy rustc-web | sed -n 's/^ *Candidate: //p'; }
    if [[ $(candidate) != "$rust"* ]]; then
        say "updating the package lists"
        quietly "${apt[@]}" update
        [[ $(candidate) == "$rust"* ]] ||
            fail "needs Debian's rustc-web $rust, here the newest is: $(candidate). On another release of Debian, or after it has moved on, $official"
    fi
    say "installing ${packages[*]} (about a minute)"
    local install=("${apt[@]}" install -y --no-install-recommends "${packages[@]}")
    # a package may have been replaced since the lists were fetched
    "${install[@]}" >"$work/log" 2>&1 || { quietly "${apt[@]}" update; quietly "${install[@]}"; }
}

build_linker() { # <folder>
    local python=python3
    $python -m pip --version >/dev/null 2>&1 || python=/usr/bin/python3
    say "fetching LLVM $llvm (90 MB)"
    quietly $python -m pip download --no-deps --require-hashes -d "$work" -r "$here/llvm-wheels.txt"
    for wheel in "$work"/*.whl; do $python -m zipfile -e "$wheel" "$work/llvm"; done
    local static=$work/llvm/mlc_llvm_static/static
    chmod +x "$static"/bin/*
    say "building the linker, sbpf-linker $linker (about 3 minutes, once)"
    cd "$work"
    quietly env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u CARGO_BUILD_TARGET -u RUSTUP_TOOLCHAIN \
        RUSTC=/usr/bin/rustc CARGO_TARGET_DIR="$work/target" \
        LLVM_PREFIX="$static" ZLIB_PATH="$static/lib" LIBZSTD_PATH="$static/lib" \
        /usr/bin/cargo install sbpf-linker --version "$linker" --locked --root "$work/linker" \
        --no-default-features --features bpf-linker/llvm-23,bpf-linker/llvm-link-static
    mv -T "$work/linker" "$1"
}

install_packages
[[ $(installed_rust) == "$rust" ]] ||
    fail "/usr/bin/rustc is $(installed_rust), but std.patch is for $rust; $official"

# The linker has a folder of its own: it takes minutes, and other files here change more often.
linker_dir=$cache/sbpf-linker-$linker-llvm-$llvm
[[ -d $linker_dir ]] || (build_linker "$linker_dir")

if [[ ! -d $prefix ]]; then
    say "patching std, building the LLVM pass (some seconds)"
    new=$work/prefix
    mkdir -p "$new"/{bin,lib}
    install -m 755 "$here/cargo-build-sbf" "$here/sbpf-ld" "$new/bin/"
    ln "$linker_dir/bin/sbpf-linker" "$new/bin/"
    cp "$here/sbpfv3-solana-solana.json" "$new/lib/"
    quietly g++ -O1 -std=c++17 -fPIC -fno-rtti -fno-exceptions -shared "-I$(/usr/lib/llvm-22/bin/llvm-config --includedir)" \
        "$here/signed-division.cpp" -o "$new/lib/signed-division.so"

    library=$new/lib/library
    cp -rL "/usr/src/rustc-$rust/library" "$library"
    quietly patch -d "$new/lib" -p1 -F0 -i "$here/std/std.patch"
    builtins=$library/compiler-builtins/compiler-builtins/src
    cp "$here/std/alloc.rs" "$library/std/src/sys/alloc/solana.rs"
    cp "$here/std/builtins.rs" "$builtins/solana.rs"
    cp "$here/std/mem.rs" "$builtins/mem/solana.rs"
    # LLVM's BPF backend passes and returns an i128 in two registers when it calls these functions,
    # rustc's "C" for BPF passes it by pointer. "unadjusted" is what LLVM expects.
    find "$builtins/int" "$builtins/float" -name '*.rs' -exec sed -i 's/extern "C" fn/extern "unadjusted" fn/' {} +
    mv -T "$new" "$prefix"
fi
say "installed"
echo "$prefix"
