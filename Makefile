# What people and CI call alike. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
# Two cargo builds at once would only wait for each other's lock.
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# One target directory for daily work, tests and CI, outside the checkout: SurrealDB takes 20 minutes to compile on two
# cores, and a second directory would compile it again (docs/adr/0004). The tools lie beside it.
CARGO_TARGET_DIR ?= $(HOME)/.cache/greenroom/target
TOOLS_DIR ?= $(HOME)/.cache/greenroom/tools
export CARGO_TARGET_DIR TOOLS_DIR
VENV := $(TOOLS_DIR)/venv
export PATH := $(TOOLS_DIR)/bin:$(PATH)
BIN := $(CARGO_TARGET_DIR)/release

# Every cargo command below runs in the root without `-p`, so that it resolves features for all default members and
# SurrealDB is compiled once for all of them; `--bin` only narrows what is built.

# The lint rides on the build of the tests. `cargo clippy` checks instead of building, so it would need every
# dependency a second time, as metadata. With clippy-driver as the compiler of the workspace's own crates, one build both
# lints and compiles, and the dependencies, which no workspace wrapper touches, stay the ones of `make run`.
# `__CLIPPY_HACKERY__` is clippy-driver's separator of arguments.
LINT := RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS=-Dwarnings__CLIPPY_HACKERY__

# Cargo shows how far it is on a terminal; elsewhere, as in a log, only when it is told to.
PROGRESS := CARGO_TERM_PROGRESS_WHEN=always CARGO_TERM_PROGRESS_WIDTH=80

# Arguments for `make run`, `make cluster` and `make bench`.
ARGS ?=

# Where `make release` puts what it makes.
DIST ?= dist

# What the tests outside Rust need to know.
export SERVER_BIN := $(BIN)/greenroom
export PROMETHEUS ?= $(or $(shell command -v prometheus),$(TOOLS_DIR)/prometheus/usr/bin/prometheus)
export CHROMIUM ?= $(or $(shell command -v chromium),/usr/bin/chromium)

# What the authors measure, and what Greenroom is compared with: workspaces of their own, built without SurrealDB.
LAB_DIR ?= $(HOME)/.cache/greenroom/lab
LAB := $(LAB_DIR)/release/greenroom-lab
BASELINE_DIR ?= $(HOME)/.cache/greenroom/baseline
NATS ?= $(or $(shell command -v nats-server),$(TOOLS_DIR)/nats-server/usr/sbin/nats-server)

define header
@printf '\n==> %s\n' "$(1)"
endef

.PHONY: help run cluster test lint fmt bench bench-lab sim fuzz fuzz-guided clean distclean
.PHONY: deps deps-tools deps-peers check-fmt check-sizes check-cycles check-words check-docs check-features deny advisories test-k8s test-sdk test-rust test-remote test-lab test-fuzz test-python test-browser test-drill release

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

run: ## Build and start the server; ARGS="--help" passes arguments on. The first build takes a while
	@.ci/deps build
	@test -x $(BIN)/greenroom || echo 'make: the first build compiles SurrealDB, which takes 20 minutes or more on two cores; cargo counts the crates'
	$(PROGRESS) cargo run --release --bin greenroom -- serve $(ARGS)

cluster: ## Build and start three nodes, NATS and a database on this machine (docs/cluster.md); ARGS="--help" passes arguments on
	@.ci/deps cluster
	$(PROGRESS) cargo build --release --bin greenroom --bin greenroom-dev-surrealdb
	@$(VENV)/bin/python -B .ci/cluster.py $(ARGS)

# The cheap stages come first, so that a slip shows before the long build.
test: check-fmt check-sizes check-cycles check-words check-docs check-features deny test-k8s test-sdk lint test-rust test-remote test-lab test-fuzz test-python test-browser test-drill ## Run every check and every test, installing what they need
	$(call header,everything passed)

deps:
	$(call header,what the tests need)
	@.ci/deps test

# Enough for the checks that need neither a browser nor a build.
deps-tools:
	@.ci/deps tools

deps-peers:
	@.ci/deps peers

check-fmt: deps
	$(call header,formatting)
	cargo fmt --all --check
	for lab in lab lab/baseline lab/fuzz; do cargo fmt --manifest-path $$lab/Cargo.toml --check; done

check-sizes:
	$(call header,file sizes)
	@.ci/file-sizes

check-cycles: ## Modules that import each other in a circle
	$(call header,import cycles)
	@python3 -B .ci/check-cycles.py

check-words: ## Words of the glossary that a name uses in a second meaning
	$(call header,words)
	@python3 -B .ci/check-words.py

check-docs: ## Documents: links and anchors lead somewhere, prose is wrapped, public items are documented
	$(call header,documents)
	@python3 .ci/check-docs.py
	@python3 .ci/check-item-docs.py

check-features: deps-tools
	$(call header,features)
	@$(VENV)/bin/python .ci/check-features.py

lint: deps ## Lint the workspace; the build it makes is the one that the tests use
	$(call header,lint and build)
	$(LINT) cargo build --release --locked --all-targets

test-rust: lint ## Rust: unit, property and end-to-end tests
	$(call header,Rust tests)
	$(LINT) cargo test --release --locked

test-remote: lint ## The end-to-end tests once more, through a node of a cluster that owns nothing
	$(call header,end-to-end tests through another node)
	GREENROOM_TEST_REMOTE=1 $(LINT) cargo test --release --locked --test e2e -- --skip cluster::

test-lab: deps ## The lab: lint and tests; needs no SurrealDB
	$(call header,lab)
	$(LINT) cargo test --release --locked --manifest-path lab/Cargo.toml --target-dir $(LAB_DIR)

# `make test` runs 2,000; a seed that fails is run alone, with all that happens, by `SIM_SEED=n`.
SEEDS ?= 100000

sim: deps ## Simulate the core under faults: SEEDS=n runs that many, SIM_SEED=n runs one and tells what happened
	$(call header,simulation)
	SIM_SEEDS=$(SEEDS) SIM_NODES_SEEDS=$$(($(SEEDS) / 10)) $(LINT) cargo test --release --locked --test sim -- --nocapture every_seed

# Every round tries FUZZ_CASES new inputs for each target, and rounds follow each other for FUZZ_TIME seconds. `make test` runs the
# same targets with few inputs; docs/security.md lists them.
FUZZ_CASES ?= 5000
FUZZ_TIME ?= 600
FUZZ_PURE := fuzz:: guard::tests against_oracle capability::tests differential:: hostile:: calls:: bodies:: names::

fuzz: deps ## Fuzz decoders, frames, ids, patches, configuration and tokens: FUZZ_TIME=seconds, FUZZ_CASES=n inputs a round
	$(call header,fuzzing for $(FUZZ_TIME) s)
	end=$$((SECONDS + $(FUZZ_TIME))); \
	while :; do \
	  PROPTEST_CASES=$(FUZZ_CASES) $(LINT) cargo test --release --locked --lib --bins --test properties -- $(FUZZ_PURE); \
	  FUZZ_CASES=$(FUZZ_CASES) E2E_SEED=$$RANDOM$$RANDOM $(LINT) cargo test --release --locked --test e2e -- --nocapture fuzz::; \
	  ((SECONDS < end)) || break; \
	done

# libFuzzer's targets (lab/fuzz), on the stable compiler: these flags make it count what an input reaches. With a target
# named, they reach neither build scripts nor macros, which are not linked with libFuzzer.
FUZZ_TARGETS ?= codecs guard behaviours session link
FUZZ_DIR ?= $(HOME)/.cache/greenroom/fuzz
FUZZ_FLAGS := -Cpasses=sancov-module $(addprefix -Cllvm-args=-sanitizer-coverage-,level=4 inline-8bit-counters pc-table trace-compares) -Ccodegen-units=1
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
BUILD_FUZZ = RUSTFLAGS="$(FUZZ_FLAGS)" $(LINT) cargo build --release --locked --manifest-path lab/fuzz/Cargo.toml --target $(HOST) --target-dir $(FUZZ_DIR)
RUN_FUZZ = FUZZ_DIR=$(FUZZ_DIR) FUZZ_BIN=$(FUZZ_DIR)/$(HOST)/release

fuzz-guided: deps ## Fuzz codecs, the frame guard, behaviours, sessions and links, guided by coverage: FUZZ_TIME=seconds for each, FUZZ_TARGETS="session", ARGS= goes to libFuzzer
	$(call header,fuzzing $(FUZZ_TARGETS) for $(FUZZ_TIME) s each)
	$(BUILD_FUZZ)
	for target in $(FUZZ_TARGETS); do $(RUN_FUZZ) FUZZ_CORPUS=$(FUZZ_DIR)/corpus lab/fuzz/run $$target -max_total_time=$(FUZZ_TIME) $(ARGS); done

# A script takes milliseconds, all other inputs take microseconds.
test-fuzz: deps ## The fuzz targets: their corpus and some thousand new inputs, the same every time
	$(call header,fuzz targets)
	$(BUILD_FUZZ)
	corpus=$$(mktemp -d); trap 'rm -rf $$corpus' EXIT; \
	for target in $(FUZZ_TARGETS); do \
	  [ $$target = session ] && runs=500 || runs=20000; \
	  $(RUN_FUZZ) FUZZ_CORPUS=$$corpus lab/fuzz/run $$target -verbosity=0 -seed=1 -runs=$$runs; \
	done

deny: deps-tools ## Dependencies: licences, bans, sources
	$(call header,dependencies)
	@PATH="$(VENV)/bin:$$PATH" cargo deny --locked --workspace check --hide-inclusion-graph bans licenses sources

advisories: deps-tools ## Dependencies: known vulnerabilities; fetches the RustSec database, so not part of `make test`
	$(call header,advisories)
	@PATH="$(VENV)/bin:$$PATH" cargo deny --locked --workspace check --hide-inclusion-graph advisories

test-k8s: deps-tools ## Kubernetes: render the manifests and validate them
	$(call header,Kubernetes manifests)
	@$(VENV)/bin/python .ci/check-k8s.py

test-sdk: deps client/node_modules/.package-lock.json ## Browser SDK: types and tests
	$(call header,SDK)
	cd client && npm run --silent check && npm test --silent

test-python: lint ## The binary against Python's websockets and a real Prometheus
	$(call header,Python tests)
	$(VENV)/bin/python -m pytest -p no:cacheprovider tests/python

test-browser: lint tests/node_modules/.package-lock.json ## The binary against Node and Chromium
	$(call header,browser tests)
	cd tests && node --test browser/*.test.js

test-drill: lint ## The binary killed and stopped under load, its clock and its clients' rights changed, and every client's history judged; the same with three nodes
	$(call header,drill)
	$(BIN)/greenroom-loadtest drill --server $(BIN)/greenroom --restarts 3 --kill --up-for 1s --no-progress
	$(BIN)/greenroom-loadtest drill --server $(BIN)/greenroom --restarts 2 --up-for 1s --no-progress
	$(BIN)/greenroom-loadtest drill --server $(BIN)/greenroom --restarts 1 --kill --up-for 3s --no-progress \
	  --revoke 300ms --pipeline --step-clock --greedy 2
	$(BIN)/greenroom-loadtest drill --server $(BIN)/greenroom --nodes 3 --faults kill,stop,rolling --rounds 3 --up-for 1s \
	  --no-progress

release: ## Build a tarball and a container image (OCI archive) with checksums, in DIST=dist
	@.ci/deps release
	cargo build --release --locked --bin greenroom
	@.ci/release $(BIN)/greenroom $(DIST)

fmt: ## Format the Rust code
	cargo fmt --all
	for lab in lab lab/baseline lab/fuzz; do cargo fmt --manifest-path $$lab/Cargo.toml; done

# Plain rustc: clippy-driver compiles with the optimisations on MIR off, and figures must come from what ships.
bench: ## Run the load harness against a server of its own: figures, bench.json and bench.html beside the binaries; ARGS= is passed on
	@.ci/deps build
	cargo build --release --locked --bin greenroom
	cargo build --release --locked --manifest-path lab/Cargo.toml --target-dir $(LAB_DIR)
	$(LAB) bench --server $(BIN)/greenroom --json $(CARGO_TARGET_DIR)/bench.json --html $(CARGO_TARGET_DIR)/bench.html $(ARGS)

bench-hot: ## Time the hot functions of the core and the codecs, one by one; ARGS=name runs those whose names hold it
	@.ci/deps build
	cargo bench --locked --bench hot -- $(ARGS)

bench-store: ## Measure what a commit costs, by what is written and how (docs/adr/0008); ARGS="--help" passes arguments on
	@.ci/deps build
	cargo bench --locked --bench store -- $(ARGS)

bench-lab: ## The lab's scenarios, each on a server of its own: lab.json and lab.html beside the binaries; ARGS="--only NAME" chooses
	@.ci/deps build
	cargo build --release --locked --bin greenroom
	cargo build --release --locked --manifest-path lab/Cargo.toml --target-dir $(LAB_DIR)
	$(LAB) suite --server $(BIN)/greenroom --json $(CARGO_TARGET_DIR)/lab.json --html $(CARGO_TARGET_DIR)/lab.html $(ARGS)

bench-cluster: ## What several nodes cost, and for how long a move or a killed node is felt; ARGS="--only ops" chooses
	@.ci/deps test
	cargo build --release --locked --bin greenroom --bin greenroom-dev-surrealdb
	cargo build --release --locked --manifest-path lab/Cargo.toml --target-dir $(LAB_DIR)
	$(LAB) cluster --server $(BIN)/greenroom $(ARGS)

bench-peers: lab/peers/node_modules/.package-lock.json ## Put other servers and Greenroom through the same loads, side by side, 3 times: compare.json and compare.html beside the binaries; ARGS= is passed on
	cargo build --release --locked --bin greenroom
	cargo build --release --locked --manifest-path lab/Cargo.toml --target-dir $(LAB_DIR)
	cargo build --release --locked --manifest-path lab/baseline/Cargo.toml --target-dir $(BASELINE_DIR)
	$(LAB) compare --server $(BIN)/greenroom --server-cpus 0 --client-cpus 1 \
	  --baseline $(BASELINE_DIR)/release --python $(TOOLS_DIR)/peers/bin/python --nats $(NATS) \
	  --json $(CARGO_TARGET_DIR)/compare.json --html $(CARGO_TARGET_DIR)/compare.html $(ARGS)

bench-growth: ## What an operation costs as there is more of everything else: growth.json and growth.html beside the binaries; ARGS= is passed on
	@.ci/deps build
	cargo build --release --locked --bin greenroom
	cargo build --release --locked --manifest-path lab/Cargo.toml --target-dir $(LAB_DIR)
	$(LAB) growth --server $(BIN)/greenroom --server-cpus 0 --client-cpus 1 \
	  --json $(CARGO_TARGET_DIR)/growth.json --html $(CARGO_TARGET_DIR)/growth.html $(ARGS)

# Its own list of what must be there first: no browser, but servers of other houses.
lab/peers/node_modules/.package-lock.json: lab/peers/package-lock.json | deps-peers
	@echo "npm: installing lab/peers/package-lock.json"
	@cd lab/peers && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

clean: ## Remove what this workspace built; compiled dependencies and ./data stay
	cargo clean --release -p greenroom -p greenroom-protocol -p greenroom-actors -p greenroom-loadtest -p greenroom-dev-surrealdb -p greenroom-dev-next
	rm -rf client/node_modules tests/node_modules lab/peers/node_modules

distclean: clean ## Remove compiled dependencies and installed tools too: the next build takes 20 minutes and more
	rm -rf "$(CARGO_TARGET_DIR)" "$(TOOLS_DIR)" "$(LAB_DIR)" "$(BASELINE_DIR)" "$(FUZZ_DIR)"

%/node_modules/.package-lock.json: %/package-lock.json | deps
	@echo "npm: installing $*/package-lock.json"
	@cd $* && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@
