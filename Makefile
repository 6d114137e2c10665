# Thin: each target is a few commands that can be typed by hand. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup build demo demo-down test integrations lint bench site fuzz images e2e clean
export PATH := $(HOME)/.cargo/bin:$(PATH)

ROOT := $(filter 0,$(shell id -u))
SETUP := target/setup-done
CHECKED := $(CURDIR)/target/checked

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(SETUP) ## Install what is missing: Rust, the eBPF toolchain, network tools

$(SETUP): scripts/setup
	scripts/setup
	@mkdir -p $(@D) && touch $@

build: ## The linter and the webhook: stable Rust is enough
	cargo build

demo: $(if $(ROOT),$(SETUP)) ## The three-tier application, linted and enforced; KEEP=1 leaves it running
	cargo build -q -p netpol-lint -p netpol-tests --bins
	$(if $(ROOT),cargo build -q -p netpol-enforcer)
	@cargo run -q -p netpol-tests --bin demo -- $(if $(filter-out 0,$(KEEP)),--keep)

demo-down: ## End a demo that KEEP=1 left running
	@cargo run -q -p netpol-tests --bin demo -- down

test: $(SETUP) ## Every test; what needs root, or Go for an API server, says so when it is skipped
	@rm -f $(CHECKED)
	@scripts/apiserver || echo 'no API server (see above): tests that need one are skipped'
	NETPOL_SUMMARY=$(CHECKED) NETPOL_REQUIRE_ROOT=$(if $(ROOT),1,0) RUST_TEST_THREADS=$(or $(RUST_TEST_THREADS),4) \
		cargo test --workspace
	@echo; if [ -s $(CHECKED) ]; then sed 's/^/checked: /' $(CHECKED); \
	else echo 'checked: no scenario and no flow on the real kernel: that needs root'; fi
	@scripts/apiserver --path >/dev/null || [ "$$KUBEBUILDER_ASSETS$$NETPOL_TEST_KUBECONFIG" ] || \
		echo 'skipped: what needs an API server: scripts/setup --go installs what builds one'

integrations: ## The linter's wheel, pre-commit, GitHub Action and kubectl plugin, each really run; needs Python's package index
	@tests/integrations/run

lint: $(SETUP) ## Formatting, clippy and documentation, without a single warning
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items

bench: $(SETUP) ## Ratios against a baseline of the same run: the linter, the webhook, the data path per packet and under traffic
	cargo build -q --release -p netpol-lint -p netpol-webhook -p netpol-enforcer -p netpol-cni -p netpol-tests --bins
	@target/release/bench lint --netpol-lint target/release/netpol-lint
	@echo; target/release/bench webhook
	@echo; target/release/bench enforcer
	@echo; cargo bench -q -p netpol-enforcer --bench packets
	@echo; target/release/bench datapath

e2e: ## Webhook and enforcer on a whole cluster: KUBECONFIG=FILE, with the images loaded into its nodes
	cargo build -q -p netpol-tests --bin e2e
	@tests/e2e/webhook
	@target/debug/e2e

images: ## Container images of all programs, as archives in target/images; no container engine is needed
	cargo run -q -p xtask -- image netpol-webhook
	cargo run -q -p xtask -- image netpol-enforcer
	cargo run -q -p xtask -- image netpol-lint

site: ## The documentation as a site: target/site/index.html
	cargo run -q -p xtask -- docs --check
	@command -v mdbook >/dev/null || cargo install -q mdbook --version 0.5.4 --locked --no-default-features --features search
	mdbook build docs

fuzz: ## Hostile input to the reader, the fixer, the configuration and the webhook; FUZZ_SECONDS=60 each
	scripts/fuzz $(or $(FUZZ_SECONDS),60)

clean: ## Remove what was built
	cargo clean
