#!/usr/bin/env bash
# `cargo build-sbf` for sBPF v3: the official one if it is installed, else this project's own
# (toolchain/sbf), installed when first needed. AMP_BUILD_SBF=own or =official chooses one.
# usage: build-sbf.sh --version | build-sbf.sh <arguments of cargo build-sbf>
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
choice=${AMP_BUILD_SBF:-}

# The PATH may have ours too, for `anchor build`.
official=
if [[ $choice != own ]]; then
    while read -r found; do
        "$found" --version 2>/dev/null | grep -q "AMP's own toolchain" || { official=$found; break; }
    done < <(type -aP cargo-build-sbf)
fi

if [[ -n $official ]]; then
    [[ ${1:-} == --version ]] || {
        echo "using the official $official" >&2
        # the platform-tools (rustc 1.95) that anchor-cli 1.2.2 asks for too, whatever the CLI's own are
        set -- --tools-version v1.57 --arch v3 "$@"
    }
    exec "$official" "$@"
elif [[ $choice == official ]]; then
    echo "build-sbf.sh: no official cargo-build-sbf in the PATH" >&2
    exit 1
fi
prefix=$("$here/sbf/install.sh" | tail -n 1)
exec "$prefix/bin/cargo-build-sbf" "$@"
