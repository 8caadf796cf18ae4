#!/usr/bin/env bash
# The check of the SBF toolchain in use: the same code on the host and as bytecode agrees.
# `make toolchain-check`; RUNS and SEED (to repeat a run) may be set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${CARGO_TARGET_DIR:-target}/toolchain-check
toolchain/build-sbf.sh --manifest-path toolchain/check/program/Cargo.toml --sbf-out-dir "$out"
toolchain/run.sh toolchain-check "$out/toolchain_check_program.so" "${RUNS:-2000}" ${SEED:+"$SEED"}
