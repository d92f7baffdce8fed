# Everything that a person or a machine types here. `make demo` shows Sandbar at work, `make test` shows that it keeps
# its promises; both set up what they need first, and say what they install.

# make/compilers/clang++ compiles RocksDB in a third of the time.
export PATH := $(CURDIR)/make/compilers:$(HOME)/.cargo/bin:$(PATH)
CARGO ?= cargo
# The usual version stands where Maven reads it; `make test-all` takes all of these.
KAFKA_VERSION ?= $(shell sed -n 's|.*<kafka.version>\(.*\)</kafka.version>.*|\1|p' tests/kafka/pom.xml)
KAFKA_VERSIONS := 3.9.2 4.1.1 4.4.0
KAFKA_LIBS := target/kafka-libs
export KAFKA_VERSION

RECORDS ?= 5000000
ROUNDS ?= 3

.PHONY: help build bench bench-restore bench-timers bench-neighbours bench-languages test one test-all torture deny
.PHONY: schemathesis fuzz setup system-packages rust-parts kafka-libs clients language-tools
.DEFAULT_GOAL := help

help:
	@echo "make demo       auction events through a plugin, on a broker of our own"
	@echo "make test       the usual run: formatting, lints, unit tests, conformance, guarantees on a real Kafka"
	@echo "                (KAFKA_VERSION=$(KAFKA_VERSION))"
	@echo "make one        the tests with a text in their names: make one TEST=a_member_that_sleeps"
	@echo "make test-all   the same with the long runs: 50 kills, the full matrix, a minute of rebalances, each version"
	@echo "                of Kafka"
	@echo "make torture    kills and pauses at random for as long as is asked for (SANDBAR_KILLS, SANDBAR_SECONDS,"
	@echo "                SANDBAR_SEED)"
	@echo "make schemathesis  a daemon asked all that its OpenAPI document describes, and what it does not"
	@echo "make fuzz       feeds what comes from outside with whatever bytes there are (FUZZ_SECONDS each, FUZZERS)"
	@echo "make bench      CPU-seconds beside a hand-written rdkafka loop, memory, start-up, each with its goal"
	@echo "make bench-restore  a start with 1 GiB of state: with its local files, and without"
	@echo "make bench-timers  ten million timers pending, and a record that makes a million due at once"
	@echo "make bench-neighbours  how long a tenant's records take, alone and beside eight hostile plugins"
	@echo "make bench-languages  a count by key in the languages of tests/languages: CPU and memory beside"
	@echo "                Rust (LANGUAGE_RECORDS)"
	@echo "make build      target/release/sandbar"
	@echo "make plugins    target/plugins/NAME.wasm of everything under plugins/"
	@echo "make setup      installs what is missing for the above, and says what"

-include make/plugins.mk
-include make/demo.mk

# One command and one list of packages, so that cargo gives each dependency the same features and builds it once. The
# tests add their own package to it and change none of the others.
PRODUCT := -p sandbar -p auction-events
TESTED := $(PRODUCT) -p sandbar-control -p sandbar-tests
# Not the program: it is measured as `make build` makes it, without the points at which a test ends it.
BENCHES := -p sandbar-benches -p auction-events

build: system-packages
	@make/first-build $(CARGO) build --release $(PRODUCT)
	@make/symbols target/release/sandbar

test: export SANDBAR_PACKAGES = $(TESTED)
test: setup
	@tests/run

one: export SANDBAR_PACKAGES = $(TESTED)
one: setup
	@tests/one "$(TEST)"

# RECORDS=50000000 ROUNDS=1 shows whether memory stays flat.
bench: setup build plugins
	$(CARGO) build --release $(BENCHES)
	target/release/sandbar-bench $(RECORDS) $(ROUNDS)

# MIB is the size of the state.
MIB ?= 1024
bench-restore: setup build plugins
	$(CARGO) build --release $(BENCHES)
	target/release/sandbar-bench restore $(MIB)

bench-neighbours: setup build plugins
	$(CARGO) build --release $(BENCHES)
	target/release/sandbar-bench neighbours

bench-timers: setup build plugins
	$(CARGO) build --release $(BENCHES)
	target/release/sandbar-bench timers

# Our own crates once more, with counters at their branches; the dependencies are those of the tests. FUZZERS names
# some.
FUZZ_SECONDS ?= 60
FUZZERS ?=
FUZZED := $(TESTED) -p sandbar-fuzz --bin 'fuzz_*'
fuzz: export RUSTC_WORKSPACE_WRAPPER = $(CURDIR)/make/fuzz-rustc
fuzz: system-packages
	$(CARGO) build --release $(FUZZED)
	@fuzz/run $(FUZZ_SECONDS) $(FUZZERS)

LANGUAGE_RECORDS ?= 1000000
bench-languages: setup build plugins languages
	$(CARGO) build --release $(BENCHES)
	target/release/sandbar-bench languages $(LANGUAGE_RECORDS)

test-all: export SANDBAR_GUARANTEES_MINUTES = 240
test-all: export SANDBAR_KILLS = 50
test-all: export SANDBAR_FUZZ_SECONDS = 60
test-all: export SANDBAR_MATRIX = full
test-all: export SANDBAR_CHURN_SECONDS = 60
test-all: export SANDBAR_CHANGES = 20
test-all: export SANDBAR_ORACLE_CASES = 2000
test-all: export SANDBAR_KAFKA_VERSIONS = $(KAFKA_VERSIONS)
test-all: $(KAFKA_VERSIONS:%=$(KAFKA_LIBS)/%/.complete) test

# With the points at which a test ends the program, as in the usual run.
torture: export SANDBAR_TORTURE = 1
torture: export SANDBAR_KILLS ?= 1000
torture: export SANDBAR_BROKER_KILLS ?= 10
torture: export SANDBAR_CHANGES ?= 20
torture: setup
	$(CARGO) build --release $(TESTED)
	@$(MAKE) --no-print-directory components
	$(CARGO) test --release $(TESTED) --test guarantees -- \
	  torture one_of_three_brokers group_changes --nocapture --test-threads=1

# Asks `sandbar serve` all that its OpenAPI document describes; the usual run does, too.
schemathesis: build plugins clients
	@tests/clients/schemathesis/run

# Licences, sources, one version of each crate if possible.
deny:
	$(CARGO) deny --all-features check

setup: system-packages rust-parts kafka-libs clients language-tools

# A C tool chain and OpenSSL for librdkafka; Java and Maven for the Kafka that the tests start.
system-packages:
	@tests/setup system

rust-parts:
	@tests/setup rust

# kafka-python and kafkajs, for the conformance suite, and schemathesis; without them their cases say that they were
# skipped.
clients:
	@tests/setup clients

# C, C++, JavaScript, Python; those of other languages are yours to install.
language-tools:
	@tests/setup languages

# Kafka's jars, through Maven: a folder a version.
kafka-libs: $(KAFKA_LIBS)/$(KAFKA_VERSION)/.complete

$(KAFKA_LIBS)/%/.complete: tests/kafka/pom.xml
	@tests/setup java
	@echo "installing the jars of Apache Kafka $* for the tests into $(@D) (Maven)"
	@rm -rf $(@D)
	@mvn -B -q -f tests/kafka/pom.xml -Dkafka.version=$* \
	  org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
	  -DincludeScope=runtime -DoutputDirectory=$(CURDIR)/$(@D)
	@touch $@
