# The commands of this repository, for developers and for CI. `make` lists them.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo picture cluster book test lint fuzz soak bench count msrv release

STEP := scripts/step
BROWSER_TESTS := tests/browser
BESIDE := tests/beside-jsonwebtoken
BESIDE_ACTIX := tests/beside-actix
export KEYWIRE_DEMO ?= $(abspath $(or $(CARGO_TARGET_DIR),target)/debug/examples/demo)

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

setup: ## install missing tools for demo, test and lint
	@scripts/setup test lint

# `redis` is for the cluster.
DEMO_FEATURES := deflate,jwks,metrics,push-api,redis,sqlite,tls

demo: ## start the demo: make demo ARGS="--jwt-secret ..."
	@scripts/setup build
	cargo run --example demo --features $(DEMO_FEATURES) -- --log "$(or $(CARGO_TARGET_DIR),target)/demo.db" $(ARGS)

picture: ## install missing tools, then take the picture of the README from the demo: docs/demo.png
	@$(STEP) "setup" scripts/setup test
	@$(STEP) "the demo" cargo build --example demo --features $(DEMO_FEATURES)
	@$(STEP) "the picture" node scripts/demo-picture.mjs

# Each node that is killed comes back. PORTS="9001 9002": other ports than 8091 and 8092.
cluster: export KEYWIRE_PORTS = $(PORTS)
cluster: ## start two demos that are one cluster, on a Redis of their own: make cluster ARGS="--jwt-secret ..."
	@scripts/setup cluster
	cargo build --example demo --features $(DEMO_FEATURES)
	@scripts/cluster $(ARGS)

book: ## install missing tools, then build the book: target/book/index.html
	@$(STEP) "setup" scripts/setup book
	@$(STEP) "pages of the book" node scripts/check-book.mjs
	@$(STEP) "the book" mdbook build docs --dest-dir "$(abspath $(or $(CARGO_TARGET_DIR),target))/book"

test: ## install missing tools, then run all tests
	@$(STEP) "setup" scripts/setup test
	@$(STEP) "unit, integration and doc tests" cargo test --all-features
	@$(STEP) "the demo, as make demo builds it" cargo build --example demo --features $(DEMO_FEATURES)
	@$(STEP) "browser tests" npm test --prefix $(BROWSER_TESTS)

lint: ## install missing tools, then check format, lints, docs, features, licences, the package, the client's types
	@$(STEP) "setup" scripts/setup lint
	@$(STEP) "Cargo.lock is up to date" cargo fetch --locked
	@for workspace in bench/peers fuzz $(BESIDE) $(BESIDE_ACTIX); do \
		$(STEP) "$$workspace/Cargo.lock is up to date" \
			cargo update --workspace --locked --manifest-path $$workspace/Cargo.toml || exit; \
	done
	@$(STEP) "format" cargo fmt --all --check
	@$(STEP) "lints" cargo clippy --all-targets --all-features -- -D warnings
	@$(STEP) "lints of the benchmarks" cargo clippy --package keywire-bench --all-targets -- -D warnings
	@$(STEP) "features, alone and where they meet" node scripts/check-features.mjs
	@for backend in "" rust_crypto aws_lc_rs; do \
		$(STEP) "an application whose jsonwebtoken has $${backend:-no backend}" cargo run --quiet --locked \
			--manifest-path $(BESIDE)/Cargo.toml --target-dir $(abspath $(or $(CARGO_TARGET_DIR),target)) \
			--features "$$backend" || exit; \
	done
	@$(STEP) "an application on actix-web" cargo run --quiet --locked --manifest-path $(BESIDE_ACTIX)/Cargo.toml \
		--target-dir $(abspath $(or $(CARGO_TARGET_DIR),target))
	@RUSTDOCFLAGS="-D warnings" $(STEP) "docs" cargo doc --no-deps --all-features
	@$(STEP) "licences, duplicates, sources" cargo deny check bans licenses sources
	@$(STEP) "rust-version" node scripts/check-rust-version.mjs
	@$(STEP) "files of the package" node scripts/check-package.mjs
	@$(STEP) "package" cargo package --allow-dirty --locked --no-verify --quiet
	@$(STEP) "types of the client" npm run check --prefix $(BROWSER_TESTS)
	@$(STEP) "foreign types in the public API" node scripts/check-public-types.mjs
	@$(STEP) "links in the documents" node scripts/check-links.mjs
	@$(STEP) "pages of the book" node scripts/check-book.mjs

# New inputs go to fuzz/target, failing inputs to fuzz/artifacts. fuzz/corpus is read-only. Sanitizers are off: they need a nightly
# compiler, and this crate has no unsafe code.
fuzz: SECONDS ?= 60
fuzz: ## fuzz the parsers of what clients, engines and nodes send: make fuzz SECONDS=600
	@$(STEP) "setup" scripts/setup fuzz
	@for target in decoder envelope form head inflater opening resp wire; do \
		mkdir -p fuzz/target/corpus/$$target && \
		$(STEP) "fuzzing: $$target" cargo fuzz run --sanitizer none $$target \
			fuzz/target/corpus/$$target fuzz/corpus/$$target -- -max_total_time=$(SECONDS) || exit; \
	done

# `make test` runs short forms of these tests.
soak: SECONDS ?= 600
soak: ## long tests: all kinds of clients at once, 100,000 connections, killed logs: make soak SECONDS=3600
	@scripts/setup build
	@SOAK_SECONDS=$(SECONDS) $(STEP) "soak" cargo test --all-features --test soak --test churn -- --ignored --nocapture
	@KEYWIRE_KILLS=1000 $(STEP) "a log whose process is killed" cargo test --all-features --test log_killed
	@$(STEP) "the most expensive inputs" cargo test --release --all-features --test dear -- --ignored --nocapture

# Save a new table with ARGS="--save bench/instructions.json".
count: ## count the instructions of a message, where valgrind is installed, and compare them with bench/instructions.json
	@if command -v valgrind >/dev/null; then \
		cargo build --locked --profile bench-lto --package keywire-bench --bin keywire --bin load --bin count && \
		$(or $(CARGO_TARGET_DIR),target)/bench-lto/count --check bench/instructions.json $(ARGS); \
	else echo "valgrind is not installed: instructions are not counted"; fi

# Takes most of an hour with the default of five rounds. The machine should be idle otherwise.
bench: ## compare keywire with other servers and write docs/benchmarks.md: make bench ROUNDS=1 QUICK=1
	@scripts/setup build
	cargo run --locked --profile bench-lto --package keywire-bench --bin run -- \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(QUICK),--quick) $(ARGS)
	@$(MAKE) --no-print-directory count
	@$(STEP) "kept pushes" cargo run --locked --profile bench-lto --package keywire-bench --bin kept -- \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(QUICK),--keys 20000 --pages 1000)
	@$(STEP) "groups" cargo run --locked --profile bench-lto --package keywire-bench --bin groups -- \
		$(if $(ROUNDS),--rounds $(ROUNDS))
	@$(STEP) "TLS" cargo run --locked --profile bench-lto --package keywire-bench --bin tls -- \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(QUICK),--sessions 500 --pushes 20000)
	@scripts/setup test
	@$(STEP) "a cluster on NATS" cargo run --locked --profile bench-lto --package keywire-bench --bin nats -- \
		$(if $(QUICK),--calls 2000 --keys 20000)
	@$(STEP) "a cluster on Redis" cargo run --locked --profile bench-lto --package keywire-bench --bin redis -- \
		$(if $(QUICK),--calls 2000 --keys 20000)
	@$(STEP) "a cluster of many nodes, simulated" cargo run --locked --profile bench-lto --package keywire-bench --bin simulate -- \
		$(if $(QUICK),--nodes 10 --keys 10000)

# cargo reads the lock file of the repository: the versions of dependencies that it names, too, are old enough.
msrv: RUST = $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
msrv: ## install the oldest Rust that is supported, then check with it that all builds
	@$(STEP) "setup" scripts/setup msrv
	@$(STEP) "default features, Rust $(RUST)" cargo +$(RUST) check --locked
	@$(STEP) "all features, tests and examples, Rust $(RUST)" cargo +$(RUST) check --locked --all-features --all-targets
	@$(STEP) "benchmarks, Rust $(RUST)" cargo +$(RUST) check --locked --package keywire-bench --all-targets

# Publishes nothing. The doc tests run in the directory where the dry run unpacks the package, which has fewer files than the
# repository.
# What takes long on a clean machine is here and not in CI: cargo-hack tries no features, each feature, and all pairs of features for
# ten minutes, where `make lint` tries those pairs that meet in the code. mdbook is built for three minutes, where `make lint`
# checks the pages of the book without it.
release: PACKAGE = $(abspath $(or $(CARGO_TARGET_DIR),target))/package
release: ## check everything that a release needs, after make lint test
	@$(STEP) "setup" scripts/setup lint book release
	@rm -rf $(PACKAGE)
	@$(STEP) "package of the crate" cargo publish --dry-run --locked --all-features $(ARGS)
	@$(STEP) "documentation of the package" cargo test --doc --all-features --target-dir $(PACKAGE)/../release-docs \
		--manifest-path $(PACKAGE)/keywire-*/Cargo.toml
	@$(STEP) "features, alone and in all pairs" cargo hack clippy --feature-powerset --depth 2 -- -D warnings
	@$(STEP) "the book" mdbook build docs --dest-dir "$(PACKAGE)/../book"
	@$(STEP) "package of the browser client" npm pack --dry-run --prefix client ./client
	@$(STEP) "changes of the public API since the last version" scripts/semver
