# Thin names for the commands that matter. CI runs what stands here.

.PHONY: test ci

# Everything, no server to install first.
test:
	cargo test --workspace

# What has to pass before a change is merged.
ci:
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(MAKE) test
