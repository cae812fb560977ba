# Each target is a few plain commands; run them by hand as well.

.DEFAULT_GOAL := help
.PHONY: help run test plugins soak bench fuzz fmt lint deny packages wasm

help: ## show the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/\1\t\2/' | expand -t 10

run: wasm ## build the daemon and start the demo of conf.d/
	cargo run --release --package sluice-daemon -- plugin build plugins
	cargo run --release --package sluice-daemon -- run --conf conf.d

test: packages plugins ## run every test
	scripts/install-tools nextest
	cargo test --manifest-path plugins/Cargo.toml --workspace --quiet
	cargo test --workspace --doc --quiet
	for kind in scorer handler; do \
		cargo build --release --target wasm32-unknown-unknown --manifest-path tests/plugins/Cargo.toml \
			--features $$kind --target-dir "$${CARGO_TARGET_DIR:-target}/test-plugins/$$kind" || exit 1; \
	done
	cargo nextest run --workspace

plugins: wasm ## build the plugins that ship: plugins/*.wasm
	cargo run --package sluice-daemon -- plugin build plugins

soak: packages ## relay and play for ten minutes a test; SLUICE_SECONDS=N for another length
	scripts/install-tools nextest
	SLUICE_SECONDS=$${SLUICE_SECONDS:-600} cargo nextest run --profile soak --package sluice-daemon 'relay::'

bench: packages plugins ## measure beside the peers; SLUICE_ROUNDS=N for other than seven rounds
	cargo bench --package sluice-daemon --bench peers

fuzz: packages ## feed the parsers what nobody sends; SLUICE_SECONDS=N for other than a minute a target
	scripts/install-tools fuzz
	scripts/fuzz

fmt: ## format the sources
	cargo fmt --all
	cargo fmt --all --manifest-path plugins/Cargo.toml

lint: wasm ## what CI refuses besides failing tests
	cargo fmt --all --check
	cargo fmt --all --check --manifest-path plugins/Cargo.toml
	cargo clippy --workspace --all-targets -- --deny warnings
	cargo clippy --manifest-path plugins/Cargo.toml --workspace --all-targets -- --deny warnings
	cargo clippy --release --manifest-path plugins/Cargo.toml --target wasm32-unknown-unknown -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --document-private-items

deny: ## check licences, bans and sources of the dependencies
	scripts/install-tools deny
	cargo fetch --locked
	cargo deny --offline check licenses bans sources
	cargo fetch --locked --manifest-path plugins/Cargo.toml
	cargo deny --offline --config deny.toml --manifest-path plugins/Cargo.toml check licenses bans sources

packages:
	scripts/install-packages

# the target of plugins; without rustup, the distribution has to bring it
wasm:
	if command -v rustup >/dev/null; then rustup target add wasm32-unknown-unknown; fi
