# The words that a contributor and CI share.
.PHONY: help run demo test chaos machine bench check
.DEFAULT_GOAL := help

help: ## Says what each word does
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Starts Mooring on http://localhost:8080 with SQLite in ./data
	cargo run

demo: ## Starts Mooring beside a simulated GitLab; nothing outside this machine is needed
	scripts/demo

test: ## Installs PostgreSQL, Chromium and a mail server where they are missing, then runs every test
	scripts/prepare-tests
	cargo test --workspace

chaos: ## Kills Mooring 1,000 times amid 10,000 renewals and proves that nothing is lost; ten minutes
	CHAOS=long cargo test --profile proof -p mooring --test chaos

machine: ## Tries the renewal engine in 1,000 random orders of calls, losses and crashes; half an hour
	PROPTEST_CASES=1000 cargo test -p mooring --test it renewal_machine

bench: ## Measures the whole process
	cargo bench -p mooring --bench handout

check: ## Format, lints with and without the tests' features, documentation, and one of each big dependency
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p mooring -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace
	scripts/one-of-each
	scripts/no-failpoints
