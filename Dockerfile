# One static file, without a shell, as a user without rights. Needs BuildKit, which is the default of Docker.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    scripts/static-build /mooring
RUN install -d -m 0700 /data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /mooring /mooring
# The encryption key that is generated on the first start, SQLite's file, and the spool. Keep it.
COPY --from=build --chown=65532:65532 /data /data
VOLUME /data
USER 65532:65532
ENV MOORING_DATA_DIR=/data MOORING_LISTEN=0.0.0.0:8080
EXPOSE 8080
ENTRYPOINT ["/mooring"]
CMD ["serve"]
