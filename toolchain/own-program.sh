#!/usr/bin/env bash
# Builds the program under an id of one's own, as whoever deploys it does, in a copy of the sources; prints the path
# of its bytecode. A minute or two the first time, nothing while the sources stay the same.
# usage: own-program.sh <program id>
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
id=$1
target=${CARGO_TARGET_DIR:-$PWD/target}
[[ $target == /* ]] || target=$PWD/$target
folder=$target/own-program copy=$target/own-program/source
program=$folder/deploy/amp.so stamp=$folder/.stamp
unset RUSTUP_TOOLCHAIN

sha256=(sha256sum)
command -v sha256sum >/dev/null || sha256=(shasum -a 256) # macOS
inputs() {
    find Cargo.toml Cargo.lock programs/amp sdk/protocol migrations/program-id.sh toolchain/build-sbf.sh \
        toolchain/own-program.sh -type f -print0
}
hash=$({ echo "$id"; toolchain/build-sbf.sh --version; inputs | LC_ALL=C sort -z | xargs -0 "${sha256[@]}"; } | "${sha256[@]}")
if [[ ! -f $program || ! -f $stamp || $(<"$stamp") != "$hash" ]]; then
    echo "building the program as $id (a minute or two from clean)" >&2
    rm -rf "$copy" && mkdir -p "$copy"
    # the workspace as it is, as cargo wants to see all of its members
    tar -c --exclude=./target --exclude=./.git --exclude=node_modules . | tar -x -C "$copy"
    "$copy/migrations/program-id.sh" localnet "$id" --replace
    # what `make program` compiled of others' crates need not be compiled again
    for compiled in sbpfv3-solana-solana release; do
        [[ ! -d $target/$compiled || -d $folder/$compiled ]] || cp -a "$target/$compiled" "$folder/"
    done
    CARGO_TARGET_DIR=$folder "$copy/toolchain/build-sbf.sh" \
        --manifest-path "$copy/programs/amp/Cargo.toml" --sbf-out-dir "$folder/deploy" >&2
    rm -rf "$copy"
    echo "$hash" >"$stamp"
fi
echo "$program"
