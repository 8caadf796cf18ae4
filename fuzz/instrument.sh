#!/usr/bin/env bash
# Stands between cargo and rustc: adds libFuzzer's coverage to what reads hostile bytes, and to nothing else.
# The embedded chain and its hundreds of crates run at full speed, and their branches do not drown the ones
# that are looked for. The coverage flags are those of cargo-fuzz; a stable rustc takes them.
set -euo pipefail
name=''
for ((at = 1; at < $#; at++)); do
    next=$((at + 1))
    [[ ${!at} != --crate-name ]] || name=${!next}
done
case $name in
amp | amp_protocol | amp_sdk | amp_model | amp_fuzz_targets)
    set -- "$@" -Copt-level=3 -Cdebuginfo=line-tables-only \
        -Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$@"
