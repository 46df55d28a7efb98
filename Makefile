# Martlet on Debian 12 with the Swift toolchain. Every target installs the Debian packages it needs when one is missing.
#
#   make demo          a complete server on loopback, with real messages through it, until interrupted (ONCE=1: ends after showing)
#   make test          all tests: units, conformance, power cuts, fuzzing (short), end to end, order of syncs, kills
#   make bench         Martlet beside Postfix and Dovecot on this machine, in one run
#   make trace-bench   look-ups in a trace of 10,000,000 events (EVENTS), and how long they take
#   make bench-queue   a million queued messages, and a thousand dead destinations
#   make simulate      whole servers in a simulated internet for SEEDS seeds (44); writes docs/reliability.md
#   make crash         power cuts and kills for as long as SECONDS says (600)
#   make fuzz          every fuzz target for SECONDS each (60)
#   make lint          swift format's rules; make format applies them
#   make docs          writes docs/rfcs.md and docs/limits.md from the sources

SHELL := /bin/bash
python := /usr/bin/python3

# Two builds, because their compiler flags differ: the plain release that runs, and one that lets tests see inside.
release := swift build -c release --product martlet --static-swift-stdlib -Xswiftc -cross-module-optimization
test_flags := -c release -Xswiftc -enable-testing --scratch-path .build-test
SECONDS_EACH := $(if $(filter command% environment,$(origin SECONDS)),$(SECONDS),)

.PHONY: all build demo test bench bench-queue trace-bench simulate crash fuzz lint format docs clean

all: build

build:
	@Scripts/install-packages build
	$(release)

demo:
	@Scripts/install-packages build run
	$(release)
	@exec .build/release/martlet demo $(if $(ONCE),--once) $(if $(DATA),--data $(DATA)) $(if $(BASE_PORT),--base-port $(BASE_PORT))

test:
	@Scripts/install-packages build run test
	@exec $(python) Scripts/run-suites $(if $(SUITES),--only $(SUITES))

bench:
	@Scripts/install-packages build run bench
	$(release)
	@exec $(python) Bench/bench.py $(BENCH)

trace-bench:
	@Scripts/install-packages build
	MARTLET_TESTS=MailStoreTests swift build $(test_flags) --build-tests
	MARTLET_TESTS=MailStoreTests MARTLET_TRACE_EVENTS=$(or $(EVENTS),10000000) swift test $(test_flags) --skip-build \
	  --disable-xctest --filter TraceBench | grep -E '^figures|✔|✘'

bench-queue:
	@Scripts/install-packages build run bench
	$(release)
	@exec $(python) Bench/queue_scale.py $(BENCH)

simulate:
	@Scripts/install-packages build run
	$(release)
	@exec .build/release/martlet simulate --seeds $(or $(SEEDS),44) --report docs/reliability.md --commit $$(git rev-parse --short HEAD)

crash:
	@Scripts/install-packages build run test
	@exec $(python) Scripts/run-suites --long $(or $(SECONDS_EACH),600) --only build,SimulationTests,kills

fuzz:
	@Scripts/install-packages build
	@exec $(python) Scripts/run-suites --long $(or $(SECONDS_EACH),60) --only fuzz

lint:
	swift format lint --strict --recursive Sources Tests Fuzz Package.swift

format:
	swift format --in-place --recursive Sources Tests Fuzz Package.swift

docs:
	@exec $(python) Scripts/make-docs

clean:
	rm -rf .build .build-*
