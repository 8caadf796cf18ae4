#!/usr/bin/env bash
# Fuzzes everything that reads hostile bytes, with libFuzzer on the stable toolchain. `make fuzz SECONDS=n`.
#
#   run.sh <seconds>                   all targets, that long in all; TARGETS="a b" chooses some, JOBS=n how
#                                      many at a time. What is found of new coverage goes into cargo's target folder
#   run.sh reproduce <target> <file>   runs one input
#   run.sh corpus                      takes over what was found into fuzz/corpus, minimised
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target_dir=${CARGO_TARGET_DIR:-target}
# a build of its own: beside the tests' it would overwrite the program's library, which has the same name there
build_dir=$target_dir/fuzz found=$target_dir/fuzz/found logs=$target_dir/fuzz/logs
artifacts=fuzz/artifacts corpus=fuzz/corpus
export AMP_PROGRAM=${AMP_PROGRAM:-$target_dir/deploy/amp.so}

fail() { echo "fuzz: $*" >&2; exit 1; }

build() {
    command -v c++ >/dev/null || fail "libFuzzer needs a C++ compiler: apt-get install g++"
    # cargo does not know what the wrapper adds
    cmp -s fuzz/instrument.sh "$build_dir/instrument.sh" || rm -rf "$build_dir/debug"
    mkdir -p "$build_dir"
    cp fuzz/instrument.sh "$build_dir/"
    [[ -d $build_dir/debug ]] || echo "fuzz: building, from clean five minutes on two cores" >&2
    RUSTC_WRAPPER=$PWD/fuzz/instrument.sh \
        cargo build --quiet --locked --package amp-fuzz --features libfuzzer --target-dir "$build_dir"
}

fuzzer() { # target, libFuzzer's arguments
    AMP_FUZZ_TARGET=$1 RUST_BACKTRACE=0 "$build_dir/debug/amp-fuzz" "${@:2}"
}

# The sequences run real transactions, a thousand times slower than a parser.
weight() { case $1 in sequence) echo 8 ;; *) echo 1 ;; esac; }

limits() {
    case $1 in
    *_body | *_status | *_response | *_proof | discovery | pricing) echo "-dict=fuzz/dictionaries/json.dict" ;;
    sequence) echo "-max_len=40000" ;;
    rules_* | credential_headers) ;;
    *) echo "-dict=fuzz/dictionaries/bytes.dict" ;;
    esac
}

fuzz() { # target, seconds
    mkdir -p "$found/$1" "$artifacts/$1" "$logs"
    # shellcheck disable=SC2046
    fuzzer "$1" -max_total_time="$2" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 $(limits "$1") \
        -artifact_prefix="$artifacts/$1/" "$found/$1" "$corpus/$1" >"$logs/$1.log" 2>&1
}

report() { # target
    local log=$logs/$1.log
    local number='s/.*: *\([0-9]*\)$/\1/p'
    local runs=$(grep -a 'stat::number_of_executed_units' "$log" | sed -n "$number")
    local speed=$(grep -a 'stat::average_exec_per_sec' "$log" | sed -n "$number")
    local new=$(grep -a 'stat::new_units_added' "$log" | sed -n "$number")
    local covered=$(grep -ao 'cov: [0-9]*' "$log" | tail -n 1 | tr -dc 0-9)
    printf '%-22s %12s %10s %10s %10s\n' "$1" "${runs:-?}" "${speed:-?}" "${covered:-?}" "${new:-?}"
    total=$((total + ${runs:-0}))
}

run() {
    local seconds=$1 jobs=${JOBS:-$(nproc)} weights=0 total=0
    [[ $seconds =~ ^[0-9]+$ && $seconds -gt 0 ]] || fail "how many seconds? run.sh 60"
    build
    local target; for target in "${selected[@]}"; do weights=$((weights + $(weight "$target"))); done
    # a failed target leaves its name here
    local failed=$logs/failed
    mkdir -p "$logs"; : >"$failed"
    # the longest first
    for target in $(for one in "${selected[@]}"; do echo "$(weight "$one") $one"; done | sort -rn | cut -d' ' -f2); do
        while (($(jobs -rp | wc -l) >= jobs)); do wait -n || true; done
        local share=$((seconds * jobs * $(weight "$target") / weights))
        share=$((share < 1 ? 1 : share > seconds ? seconds : share))
        { fuzz "$target" "$share" || echo "$target" >>"$failed"; } &
    done
    wait
    printf '%-22s %12s %10s %10s %10s\n' target executions 'per second' counters 'new inputs'
    for target in "${selected[@]}"; do report "$target"; done
    printf '%-22s %12s\n' total "$total"
    [[ -s $failed ]] || return 0
    for target in $(<"$failed"); do
        echo
        echo "fuzz: $target failed:"
        # the first lines of what it says; all of it is in the log
        grep -a -m 1 -A 6 'panicked at\|ERROR: libFuzzer' "$logs/$target.log" | cut -c -300 || tail -n 5 "$logs/$target.log"
        echo "log: $logs/$target.log"
        local input; input=$(sed -n 's/.*Test unit written to //p' "$logs/$target.log" | tail -n 1)
        [[ -z $input ]] || echo "reproduce: fuzz/run.sh reproduce $target $input"
        echo "mended, it belongs into fuzz/corpus/$target under a name of its own: there it is tried for ever"
    done
    exit 1
}

# What was found is named by its hash; a file with a name was put there by somebody.
by_hash() { grep -E '/[0-9a-f]{40}$' || true; }
by_name() { grep -Ev '/[0-9a-f]{40}$' || true; }

take_over() {
    build
    # nine tenths of the coverage in tens of files: the rest is found again in seconds
    local target
    for target in "${selected[@]}"; do
        local most=48 kept=$corpus/$target merged=$build_dir/merged
        # each of these is replayed on a chain
        [[ $target != sequence ]] || most=24
        rm -rf "$merged"
        mkdir -p "$merged" "$found/$target"
        find "$kept" -type f | by_name | xargs -r -d '\n' cp -t "$merged"
        # branches, not how often each was taken; written in this order: whatever covers most of the rest
        fuzzer "$target" -set_cover_merge=1 -use_counters=0 "$merged" "$kept" "$found/$target" >/dev/null 2>&1 ||
            fail "$target: run it for a second to see what fails"
        find "$kept" -type f | by_hash | xargs -r -d '\n' rm
        find "$merged" -type f -printf '%T@ %p\n' | sort -n | cut -d' ' -f2- |
            by_hash | awk -v most="$most" 'NR <= most' |
            xargs -r -d '\n' cp -t "$kept"
        echo "$target: $(find "$kept" -type f | wc -l) inputs, $(du -bs "$kept" | cut -f1) bytes"
    done
}

read -ra selected <<<"${TARGETS:-$(cd "$corpus" && echo *)}"
case ${1:-} in
corpus) take_over ;;
reproduce)
    input=$(cd "$OLDPWD" && realpath "${3:?which target, which file?}" 2>/dev/null) || input=$3
    build
    fuzzer "$2" "$input"
    ;;
*) run "${1:-60}" ;;
esac
