# The recipes are in the scripts that they call.

.DEFAULT_GOAL := help
.PHONY: chromium packaging bench-gateway localnet serve pay help demo demo-chain demo-tokens demo-agents demo-market-data demo-mcp demo-grpc test postgres python soak crash bench fuzz guards mutants check bless program toolchain-check e2e clean-program idl typescript anchor-test

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: program ## the whole life of a channel on an embedded chain (ARGS="--calls 1000 --json")
	@toolchain/run.sh amp-demo $(ARGS)

demo-chain: program ## three parties: an agent pays a service that pays its GPU supplier out of the same deposit
	@toolchain/run.sh amp-example-chain $(ARGS)

demo-market-data: program ## market data by WebSocket, paid for by the second
	@toolchain/run.sh amp-example-market-data $(ARGS)

demo-mcp: program ## an MCP tool that is paid for by the call, and an agent that pays
	@toolchain/run.sh amp-example-mcp $(ARGS)

demo-grpc: program ## a file download over gRPC, paid by the byte as it comes
	@toolchain/run.sh amp-example-grpc $(ARGS)

demo-tokens: program ## a model whose tokens are paid for one by one, and an agent that pays as it reads
	@toolchain/run.sh amp-example-tokens $(ARGS)

demo-agents: program ## an orchestrator that gives two sub-agents budgets on its own channel
	@toolchain/run.sh amp-example-agents $(ARGS)

localnet: program ## a chain of your own on 127.0.0.1:8899, with keys and tokens, until you stop it
	@toolchain/localnet.sh chain $(ARGS)

serve: ## on that chain: AMP in front of an API (UPSTREAM=http://127.0.0.1:8000, PRICE=0.001 tokens a call)
	@toolchain/localnet.sh serve "$(UPSTREAM)" "$(or $(PRICE),0.001)" $(ARGS)

pay: ## on that chain: a paid call (URL=http://127.0.0.1:8402/)
	@toolchain/localnet.sh pay "$(URL)" $(ARGS)

chromium: ## the browser that tests of the operator's page need, from the system's packages
	@toolchain/chromium.sh

test: program postgres python chromium ## every test that takes seconds
	@cargo test --locked --workspace

postgres: ## the server that some tests need, from the system's packages
	@toolchain/postgres.sh

python: ## the packages for Python that tests pay with as others do, from PyPI
	@toolchain/python.sh make tests/mcp/python/requirements.txt
	@toolchain/python.sh make tests/e2e/python/requirements.txt

check: ## what a landing must pass
	@.ci/run

packaging: program ## try the systemd unit and the container file on this machine: root, Debian, minutes (ARGS="unit", "container")
	@packaging/try.sh $(ARGS)

soak: program ## random sequences on the program and on a model of it (MINUTES=10, SEED=...)
	@toolchain/run.sh amp-soak --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED)) $(ARGS)

crash: program ## kill a service under load and hold its claims against what was served (ROUNDS=20, SEED=...)
	@toolchain/run.sh amp-crash --rounds $(or $(ROUNDS),20) $(if $(SEED),--seed $(SEED)) $(ARGS)

bench: postgres ## what being paid costs, as ratios: four minutes (ARGS="--quick", "--only path", "--write")
	@toolchain/bench.sh $(ARGS)

bench-gateway: ## the gateway against the API behind it, and its memory over a million requests: eight minutes
	@toolchain/bench.sh gateway $(ARGS)

fuzz: program ## fuzz every parser of hostile bytes, and the instructions (SECONDS=300, TARGETS="a b", JOBS=cores)
	@fuzz/run.sh $(or $(SECONDS),300)

guards: program ## take out each guard of the program and see its test fail: hours (ARGS="--only NAME")
	@toolchain/run.sh amp-guards prove $(ARGS)

mutants: program ## every change that cargo-mutants knows must be noticed: many hours (ARGS="--only NAME")
	@toolchain/run.sh amp-guards mutants $(ARGS)

bless: program ## write anew docs/compute-units.md, docs/transactions.md, the guards of docs/state-machine.md, conformance/ and recorded exchanges
	@AMP_BLESS=1 cargo test --locked --workspace --test compute_units --test page
	@AMP_BLESS=1 cargo test --locked --workspace --test http limits
	@AMP_BLESS=1 cargo test --locked --workspace --test amp guide
	@AMP_BLESS=1 cargo test --locked --workspace --lib -- the_tables_are recorded what_is_checked_in

program: ## build the program: target/deploy/amp.so and target/idl/amp.json
	@toolchain/build-program.sh

idl: program ## write idl/amp.json anew, which clients in other languages take
	@toolchain/checked-in-idl.sh write

anchor-test: ## `anchor build`, `anchor test` and a stock TypeScript client; installs Anchor where it is absent
	@toolchain/anchor-test.sh

typescript: program ## a stock Anchor client in TypeScript, on a real validator
	@toolchain/typescript.sh

e2e: ## end to end on a real validator, or on the cluster of AMP_RPC_URL (ARGS="--only NAME", "--list", "--write")
	@toolchain/e2e.sh $(ARGS)

toolchain-check: ## compare bytecode with the host on random inputs (RUNS=2000, SEED=...)
	@toolchain/check/run.sh

clean-program: ## remove what `make program` made; the toolchain and other builds stay
	@toolchain/clean-program.sh
