# The demo, as compose.yaml runs it. One image for all nodes.
FROM rust:1-slim-trixie AS build
WORKDIR /keywire
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/keywire/target \
    cargo build --locked --release --example demo --features deflate,jwks,metrics,redis \
    && cp target/release/examples/demo /usr/local/bin/keywire-demo

FROM debian:trixie-slim
# For `--jwt-jwks` and `rediss://`.
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/keywire-demo /usr/local/bin/
USER nobody
EXPOSE 8090
# The demo stops by SIGTERM as the first process of its container too, since it handles the signal.
ENTRYPOINT ["keywire-demo", "--listen", "0.0.0.0:8090"]
