# The same commands for people and for CI. `make` alone lists them.

# The services' queries are checked against the committed .sqlx; only scripts/sqlx-check asks a database.
export SQLX_OFFLINE = true

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## Compare Axum and Actix on this machine: about two minutes after the build
	target/release/tailmark compare scenarios/crud.yaml axum actix --rounds 6 --warmup 2s --measure 4s

.PHONY: test
test: setup-tests ## Run all tests, against real servers and in a real browser
	scripts/test-setup
	scripts/test-images
	cargo test --workspace --locked
	cargo test --workspace --locked --bench hot_path

.PHONY: lint
lint: setup ## Check format, lints, documentation and the freshness of .sqlx
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	scripts/sqlx-check

.PHONY: hdr-check
hdr-check: ## Have the interval log read by HdrHistogram's own Python, which is installed under target/
	scripts/hdr-check

.PHONY: bench
bench: ## Measure what tailmark itself costs for an exchange, by criterion
	cargo bench -p tailmark --locked --bench hot_path

.PHONY: figures
figures: setup ## Weigh the reference services: start, idle memory, 10,000 connections, stop; a minute after the build
	cargo build --release --workspace --bins --example figures --locked
	target/release/examples/figures target/release/axum-service target/release/actix-service

.PHONY: bench-peers
bench-peers: ## Set tailmark beside wrk, oha and a bare loop: half an hour on two idle cores; installs them if missing
	scripts/bench-peers

.PHONY: fuzz
fuzz: ## Fuzz what servers may send, a minute per target; installs cargo-fuzz if it is missing
	scripts/fuzz 60

.PHONY: openapi
openapi: setup ## Fuzz both reference services against their OpenAPI document; installs Schemathesis under target/
	scripts/openapi-check

.PHONY: images
images: ## Build the images tailmark/… and print their sizes; needs Docker. BUILD_OPTIONS are for `docker build`
	scripts/images $(BUILD_OPTIONS)

.PHONY: images-check
images-check: setup images ## Hold the images to what they promise: size, start, stop, idle memory; a minute after the build
	TAILMARK_IMAGES=built cargo test --workspace --locked --test images -- --nocapture --test-threads 1

.PHONY: dist
dist: ## Build a static tailmark, man pages and completions into one archive under target/dist
	scripts/dist

.PHONY: pictures
pictures: build setup-tests ## Make the README's pictures from a real run: two minutes after the build
	scripts/pictures

.PHONY: build
build: setup ## Build tailmark and the reference services in release
	cargo build --release --workspace --bins --locked

.PHONY: setup
setup: ## Install PostgreSQL and Redis if they are missing; starts neither
	@scripts/setup

.PHONY: setup-tests
setup-tests: ## The same with what only the tests need: Chromium, its driver and tmux
	@scripts/setup --tests
