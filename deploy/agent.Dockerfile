# syntax=docker/dockerfile:1
# The agent. Build from the top of the checkout:
#   docker build --file deploy/agent.Dockerfile --tag wherry-agent .

FROM rust:1.95-bookworm AS build
# The toolchain of this image, without the parts that only developers need.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --package wherry-agent \
    && cp target/dist/wherry-agent /usr/local/bin/ \
    && install -d -m 0700 /data

# This base brings the certificate authorities that the systems outside are checked against.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /usr/local/bin/wherry-agent /usr/bin/wherry-agent
# A volume that is mounted here for the first time takes owner and mode from the image.
COPY --from=build --chown=nonroot:nonroot /data /var/lib/wherry-agent
USER nonroot
VOLUME /var/lib/wherry-agent
# Healthy from its first connection on, also while the controller is away: runs go on and results are kept.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["/usr/bin/wherry-agent", "status", "--data", "/var/lib/wherry-agent"]
ENTRYPOINT ["/usr/bin/wherry-agent"]
CMD ["run"]
