# What a person runs. Everything is a thin wrapper over cargo.

.PHONY: demo test ci bench bench-full bench-delivery bless

demo: ## build, start the server with a demo account and simulated traffic, keep serving
	cargo run --release --locked -- demo

test: ## everything that has to pass
	cargo test --workspace --locked

ci: ## exactly what a change has to pass
	.ci/run

bench: ## throughput against baselines of the same run
	cargo bench --locked -p server --bench throughput

bench-full: ## the same, and installs with 10 million touches stored, which takes long and much disk
	SEXTANT_BENCH_TOUCHES=100000,1000000,10000000 cargo bench --locked -p server --bench throughput

bench-delivery: ## postbacks a second against the bare HTTP client of the same run; the time from a click to its postback
	cargo bench --locked -p courier --bench postbacks
	cargo bench --locked -p server --bench throughput -- journey

bless: ## write missing golden records, and the description of the interface as it is now
	STORE_BLESS=1 cargo test -p store --locked
	OPENAPI_BLESS=1 cargo test -p server --locked --bin sextant description_in_the_repository
