# syntax=docker/dockerfile:1
# The controller. Build from the top of the checkout:
#   docker build --file deploy/controller.Dockerfile --tag wherry-controller .

FROM rust:1.95-bookworm AS build
# The toolchain of this image, without the parts that only developers need.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --package wherry-controller \
    && cp target/dist/wherry-controller /usr/local/bin/ \
    && install -d -m 0700 /data

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /usr/local/bin/wherry-controller /usr/bin/wherry-controller
# A volume that is mounted here for the first time takes owner and mode from the image.
COPY --from=build --chown=nonroot:nonroot /data /var/lib/wherry-controller
USER nonroot
VOLUME /var/lib/wherry-controller
EXPOSE 8443 8444
# Health: GET /healthz on the web port answers 200. The image holds no shell and no curl to ask with.
ENTRYPOINT ["/usr/bin/wherry-controller"]
CMD ["run"]
