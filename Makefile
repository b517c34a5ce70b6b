# sec: a native Kamailio module in Rust.
#
#   make            the module, target/release/sec.so, and target/release/sec-replay
#   make install    into the installed Kamailio's module directory, and sec-replay into $(PREFIX)/bin
#                   (DESTDIR is honoured)
#   make demo       a guided tour with a real Kamailio and real SIP, in under a minute
#   make portal     the customer's web page, on http://127.0.0.1:8080/; PORTAL="--help" for more
#   make test       everything there is to check
#   make bench      what a check costs, beside the peers; BENCH="hot random" for parts of it
#   make bench-compare OLD=report.json    the same, beside an older run
#   make stories    customers and attackers at `sec`, and at pike + htable; in two minutes
#   make soak       faults and floods at full length; MINUTES=10, of wear in the end, and half as many of
#                   faults of Redis
#   make loom       the models of the shared memory
#   make sanitize   unit tests and sec-replay under the sanitizers for addresses, leaks and threads; needs
#                   a nightly Rust, which NIGHTLY= names if it is not `nightly`
#   make fuzz       each reader of what others write, a minute long; FUZZ_SECONDS=600 for longer
#   make deny       licences and sources of all dependencies
#   make deps       the Debian packages that the above need

.PHONY: all build fault measured install demo portal test check loom sanitize nightly bench bench-compare stories \
	soak fuzz deny deps clean
.ONESHELL:
.SHELLFLAGS := -eu -c

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
MODULE := $(TARGET)/release/sec.so
REPLAY := $(TARGET)/release/sec-replay
PREFIX ?= /usr/local
FAULTY := $(TARGET)/fault/release/libsec.so
MEASURED := $(TARGET)/bench/release/libsec.so
# Where the installed Kamailio looks for its modules; KAMAILIO_MODULES overrides, as in the build.
MODULES_DIR = $(or $(KAMAILIO_MODULES),$(patsubst %/pv.so,%,$(shell \
	dpkg-query -L kamailio 2>/dev/null | grep '/modules/pv\.so$$')))

# What the build needs, and what the tests and the demo run.
PACKAGES := gcc libc6-dev libclang-dev kamailio
PACKAGES += kamailio-extra-modules kamailio-json-modules kamailio-lua-modules \
	kamailio-python3-modules kamailio-redis-modules kamailio-utils-modules \
	redis-server faketime dnsmasq-base graphite-carbon iproute2 strace nftables openssl sipvicious tcpdump
# The browser in which the portal is tested.
PACKAGES += chromium chromium-driver

# The tests and the demo load what was built for production, not what cargo builds for a test.
export SEC_SO := $(MODULE)
export SEC_FAULT_SO := $(FAULTY)

# What the sanitizers are not to report: of use in `make sanitize` alone.
export LSAN_OPTIONS := suppressions=$(CURDIR)/tests/sanitizers/leaks.txt:print_suppressions=0
export TSAN_OPTIONS := suppressions=$(CURDIR)/tests/sanitizers/races.txt

# They make network namespaces of their own. Not root: cargo builds as the caller and runs them
# through sudo.
ifneq ($(shell id -u),0)
TRIPLE := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
export CARGO_TARGET_$(TRIPLE)_RUNNER := sudo env SEC_SO=$(MODULE) SEC_FAULT_SO=$(FAULTY) \
	LSAN_OPTIONS=$(LSAN_OPTIONS) TSAN_OPTIONS=$(TSAN_OPTIONS)
endif

all: build

build:
	@cargo build --release
	cp -f $(TARGET)/release/libsec.so $(MODULE)
	echo "built $(MODULE) and $(REPLAY)"

# The same module with one function more, for loops that check one source again and again.
measured:
	@cargo build --release --lib --features bench --target-dir $(TARGET)/bench

# The same module with functions that panic on purpose. In a folder of its own, because cargo
# gives both the same name; without link-time optimisation, because nobody measures it.
fault:
	@CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
		cargo build --release --lib --features fault-injection --target-dir $(TARGET)/fault

install:
	@test -f $(MODULE) || { echo "run 'make' first" >&2; exit 1; }
	test -n "$(MODULES_DIR)" || {
		echo "cannot tell where Kamailio's modules are: set KAMAILIO_MODULES" >&2; exit 1
	}
	install -D -m 644 $(MODULE) $(DESTDIR)$(MODULES_DIR)/sec.so
	install -D -m 755 $(REPLAY) $(DESTDIR)$(PREFIX)/bin/sec-replay
	echo "installed $(DESTDIR)$(MODULES_DIR)/sec.so and $(DESTDIR)$(PREFIX)/bin/sec-replay"

demo: deps build
	@cargo run --quiet --release --example demo

portal: deps
	@cargo run --quiet --release --example portal -- $(PORTAL)

# BENCH names parts; the figures go to target/bench.json and target/bench.svg.
bench bench-compare: export SEC_SO = $(MEASURED)
bench: deps measured
	@cargo run --quiet --release --example bench -- \
		--json $(TARGET)/bench.json --svg $(TARGET)/bench.svg $(BENCH)

# The same beside an older report: make bench-compare OLD=target/old.json
bench-compare: deps measured
	@test -n "$(OLD)" || { echo "name the older report: OLD=bench.json" >&2; exit 1; }
	cargo run --quiet --release --example bench -- \
		--json $(TARGET)/bench.json --beside $(abspath $(OLD)) $(BENCH)

stories: deps build
	@cargo run --quiet --release --example stories

soak: deps build
	@cargo run --quiet --release --example soak -- $(MINUTES)

test: deps build fault check loom
	@cargo test

check:
	@if cargo fmt --version >/dev/null 2>&1; then cargo fmt --check
	else echo "cargo fmt is not installed: formatting is not checked"; fi
	if cargo clippy --version >/dev/null 2>&1; then cargo clippy --all-targets -- -D warnings
	else echo "cargo clippy is not installed: lints are not checked"; fi

loom:
	@RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$(TARGET)/loom cargo test --release --lib model

# Needs a nightly Rust, and nothing of it but the compiler: the standard library stays as it comes, so
# what happens inside it is not looked at. Leaks and races that are none: tests/sanitizers/.
#
# AddressSanitizer, with LeakSanitizer, gets all unit tests, and `sec-replay`, in which the whole module
# decides without Kamailio. ThreadSanitizer gets those of the borders: all that one process writes and
# another reads is there, and its tests do the same between threads. One test after the other, because
# the harness starts threads of its own, and after a fork none may be started.
NIGHTLY ?= nightly
SANITIZED = CARGO_TARGET_DIR=$(TARGET)/sanitize/$(1) \
	RUSTFLAGS="-Zsanitizer=$(1) $(2) -Zrandomize-layout -Cdebug-assertions=on -Coverflow-checks=on" \
	nice cargo +$(NIGHTLY) test --target $(HOST)
sanitize: HOST = $(shell rustc -vV | sed -n 's/^host: //p')
sanitize: nightly deps build
	@echo "AddressSanitizer and LeakSanitizer: all unit tests, and sec-replay"
	$(call SANITIZED,address) --lib --test replay
	echo "ThreadSanitizer: the borders"
	$(call SANITIZED,thread,-Cunsafe-allow-abi-mismatch=sanitizer) --lib -- \
		shared:: kamailio:: --test-threads=1

nightly:
	@rustc +$(NIGHTLY) --version >/dev/null 2>&1 || {
		echo "there is no Rust '$(NIGHTLY)': rustup toolchain install nightly, or name one in NIGHTLY" >&2
		exit 1
	}

# One after the other and at low priority. The list is that of tests/fuzz/Cargo.toml.
FUZZ_SECONDS := 60
FUZZ_TARGETS = $(patsubst %.rs,%,$(notdir $(wildcard tests/fuzz/fuzz_targets/*.rs)))
fuzz:
	@command -v cargo-fuzz >/dev/null || {
		echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 1
	}
	for target in $(FUZZ_TARGETS); do
		echo "fuzzing: $$target"
		found=$(TARGET)/fuzz/corpus/$$target
		mkdir -p $$found
		nice env -u CARGO_TARGET_$(TRIPLE)_RUNNER cargo fuzz run --fuzz-dir tests/fuzz \
			--sanitizer none --target-dir $(TARGET)/fuzz \
			$$target $$found tests/fuzz/corpus/$$target \
			-- -max_total_time=$(FUZZ_SECONDS) -timeout=10
	done

# Not the advisories: they need the network, and change by themselves.
deny:
	@command -v cargo-deny >/dev/null || {
		echo "cargo-deny is missing: cargo install cargo-deny --locked" >&2; exit 1
	}
	cargo deny check licenses bans sources

# Installs only what is missing, and leaves no service behind: the tests start their own servers.
deps:
	@command -v cargo >/dev/null || {
		echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 1
	}
	command -v dpkg-query >/dev/null || {
		echo "not a Debian system; needed are the equivalents of: $(PACKAGES)"; exit 0
	}
	missing=
	for package in $(PACKAGES); do
		dpkg-query -W -f '$${db:Status-Abbrev}' $$package 2>/dev/null | grep -q '^.i' ||
			missing="$$missing $$package"
	done
	test -n "$$missing" || exit 0
	root=
	if [ "$$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || {
			echo "missing packages:$$missing; install them as root (there is no sudo)" >&2; exit 1
		}
		root=sudo
	fi
	echo "installing the Debian packages:$$missing"
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $$policy ]; then
		trap "$$root rm -f $$policy" EXIT
		trap 'exit 1' INT TERM
		printf '#!/bin/sh\nexit 101\n' | $$root tee $$policy >/dev/null
		$$root chmod 755 $$policy
	fi
	$$root apt-get update
	$$root env DEBIAN_FRONTEND=noninteractive \
		apt-get install --yes --no-install-recommends $$missing
	if [ -d /run/systemd/system ]; then
		for service in kamailio redis-server carbon-cache; do
			case " $$missing " in
				*" $$service "*) $$root systemctl disable --quiet $$service || true ;;
			esac
		done
	fi

clean:
	@cargo clean
