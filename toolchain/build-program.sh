#!/usr/bin/env bash
# Builds programs/amp: target/deploy/amp.so (bytecode) and target/idl/amp.json (IDL). `make program`.
# Does nothing when neither the sources nor the tools have changed since the last time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [[ -n ${CARGO_TARGET_DIR:-} ]]; then
    # the IDL build runs cargo in another folder
    [[ $CARGO_TARGET_DIR == /* ]] || export CARGO_TARGET_DIR=$PWD/$CARGO_TARGET_DIR
fi
target=${CARGO_TARGET_DIR:-target}
program=$target/deploy/amp.so idl=$target/idl/amp.json stamp=$target/deploy/.amp.stamp
unset RUSTUP_TOOLCHAIN # below `cargo test` rustup sets it, and it confuses the IDL build

sha256=(sha256sum)
command -v sha256sum >/dev/null || sha256=(shasum -a 256) # macOS
inputs() {
    find Cargo.toml Cargo.lock programs/amp sdk/protocol toolchain/idl toolchain/build-sbf.sh \
        toolchain/build-program.sh -type f -print0
}
# the tools' version stands, with our own, for the contents of toolchain/sbf
inputs_hash() {
    { toolchain/build-sbf.sh --version; inputs | LC_ALL=C sort -z | xargs -0 "${sha256[@]}"; } | "${sha256[@]}"
}
outputs_hash() { cat "$program" "$idl" | "${sha256[@]}"; }

before=$(inputs_hash)
if [[ -f $program && -f $idl && -f $stamp && $(<"$stamp") == "$before $(outputs_hash)" ]]; then
    echo "up to date: $program, $idl" >&2
    exit
fi
echo "building $program (a minute or two from clean)" >&2
toolchain/build-sbf.sh --manifest-path programs/amp/Cargo.toml --sbf-out-dir "$target/deploy"
echo "building $idl (compiles the program for this machine: from clean another minute or two)" >&2
cargo run --package amp-idl -- programs/amp "$idl"
# the hash from before: an edit during the build must lead to another one
echo "$before $(outputs_hash)" >"$stamp"
echo "built: $program ($(wc -c <"$program" | tr -d ' ') bytes), $idl" >&2
