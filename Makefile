# What a person runs. Everything is a thin wrapper over cargo.

.PHONY: demo test ci bench bless

demo: ## build, start the server with a demo account and simulated traffic, keep serving
	cargo run --release --locked -- demo

test: ## everything that has to pass
	cargo test --workspace --locked

ci: ## exactly what a change has to pass
	.ci/run

bench: ## throughput against baselines of the same run
	cargo bench --locked -p server --bench throughput

bless: ## write missing golden records
	STORE_BLESS=1 cargo test -p store --locked
