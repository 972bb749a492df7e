# One stage per image, all from one build:
#
#   tailmark         the generator, and nothing else
#   axum-service     the reference services
#   actix-service
#   reference-seed   migrates and fills an empty database for them
#   tailmark-ci      the generator in a system with a shell and git, for CI that runs its jobs in an image
#
# `make images` builds all of them. Docker's older builder reads this file too, which has no `RUN --mount`, no heredocs and
# no `# syntax=`.

ARG RUST_IMAGE=rust:1.95-slim-bookworm
ARG DEBIAN_IMAGE=debian:bookworm-slim

# What decides which dependencies are built: manifests, the lock file, and a source file that says nothing for each target
# of Cargo. Docker compares what is copied from here by content, so the dependencies are built again when one of these
# changes, and not when a source does.
FROM ${RUST_IMAGE} AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -path './.cargo/*' \
        ! -name lib.rs ! -name main.rs ! -name build.rs ! -path '*/bin/*' ! -path '*/benches/*' ! -path '*/examples/*' -delete \
    && find . -name '*.rs' -exec sh -c 'for file; do echo "fn main() { }" >"$file"; done' - {} + \
    && find . -name lib.rs -exec sh -c 'for file; do : >"$file"; done' - {} + \
    && find . -type d -empty -delete

FROM ${RUST_IMAGE} AS builder
WORKDIR /src
# A program without an interpreter or libraries runs in an image that holds nothing else; packed relocations and optimising
# over all crates at once make it smaller by a fifth. Only with --target do the flags leave build scripts and procedural
# macros alone, which cannot be linked so.
ENV CARGO_TARGET_DIR=/target CARGO_TERM_COLOR=never CARGO_PROFILE_RELEASE_LTO=fat \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 \
    RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs"
COPY --from=manifests /src .
RUN cargo build --release --locked --workspace --bins --target "$(rustc -vV | sed -n 's/^host: //p')"
COPY . .
# COPY keeps the times of files: without `touch` Cargo would take sources for older than what was built of nothing.
RUN find . -type f -exec touch {} + \
    && cargo build --release --locked --workspace --bins --target "$(rustc -vV | sed -n 's/^host: //p')" \
    && mkdir -p /out \
    && for program in tailmark axum-service actix-service reference-seed; do \
        strip -o "/out/$program" /target/*-*/release/"$program" || exit 1; \
    done \
    && mkdir -p /owned/work /owned/tmp && chmod 1777 /owned/tmp

FROM scratch AS tailmark
# For https://, the authorities that Debian trusts; --cacert names others.
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
# Where results go, and files that are mounted.
COPY --from=builder --chown=65532:65532 /owned/ /
COPY --from=builder /out/tailmark /usr/local/bin/tailmark
WORKDIR /work
USER 65532:65532
# A command, not a service: it ends by itself, so there is no health to ask for.
ENTRYPOINT ["/usr/local/bin/tailmark"]

FROM scratch AS axum-service
COPY --from=builder /out/axum-service /axum-service
USER 65532:65532
ENV HOST=0.0.0.0 PORT=8080
EXPOSE 8080
HEALTHCHECK CMD ["/axum-service", "healthcheck"]
ENTRYPOINT ["/axum-service"]

FROM scratch AS actix-service
COPY --from=builder /out/actix-service /actix-service
USER 65532:65532
ENV HOST=0.0.0.0 PORT=8080
EXPOSE 8080
HEALTHCHECK CMD ["/actix-service", "healthcheck"]
ENTRYPOINT ["/actix-service"]

FROM scratch AS reference-seed
COPY --from=builder /out/reference-seed /reference-seed
USER 65532:65532
ENTRYPOINT ["/reference-seed"]

# As root, for a CI system mounts a checkout that belongs to a user of its own, and without an ENTRYPOINT, for it runs a shell.
FROM ${DEBIAN_IMAGE} AS tailmark-ci
RUN apt-get update -q \
    && apt-get install -q -y --no-install-recommends ca-certificates git \
    && rm -rf /var/lib/apt/lists/*
COPY --from=builder /out/tailmark /usr/local/bin/tailmark
CMD ["tailmark", "--help"]
