# The recipes are in the scripts that they call.

.DEFAULT_GOAL := help
.PHONY: help demo test check bless program toolchain-check validator-check clean-program

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: program ## the whole life of a channel on an embedded chain (ARGS="--calls 1000 --json")
	@toolchain/run.sh amp-demo $(ARGS)

test: program ## every test that takes seconds
	@cargo test --locked --workspace

check: ## what a landing must pass
	@.ci/run

bless: program ## measure compute units anew and write docs/compute-units.md
	@AMP_BLESS=1 cargo test --locked --package amp-program-tests --test compute_units

program: ## build the program: target/deploy/amp.so and target/idl/amp.json
	@toolchain/build-program.sh

validator-check: program ## the SDK over RPC against a real solana-test-validator
	@toolchain/validator-check.sh

toolchain-check: ## compare bytecode with the host on random inputs (RUNS=2000, SEED=...)
	@toolchain/check/run.sh

clean-program: ## remove what `make program` made; the toolchain and other builds stay
	@toolchain/clean-program.sh
