# The recipes are in the scripts that they call.

.DEFAULT_GOAL := help
.PHONY: help program toolchain-check clean-program

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

program: ## build the program: target/deploy/amp.so and target/idl/amp.json
	@toolchain/build-program.sh

toolchain-check: ## compare bytecode with the host on random inputs (RUNS=2000, SEED=...)
	@toolchain/check/run.sh

clean-program: ## remove what `make program` made; the toolchain and other builds stay
	@toolchain/clean-program.sh
