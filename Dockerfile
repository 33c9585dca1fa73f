# A static binary, CA certificates, time zones, licences and nothing else. It runs as nobody, and
# writes nothing: the root file system may be read-only.
#
#	docker build --build-arg VERSION=$(git describe --tags --always) -t s3gate .
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /s3gate ./cmd/s3gate
RUN go run ./internal/licences -texts >/LICENCES

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="s3gate" \
      org.opencontainers.image.description="Short, revocable links in front of S3" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /zoneinfo.zip
COPY --from=build /src/LICENSE /LICENCES /
COPY --from=build /s3gate /s3gate
ENV ZONEINFO=/zoneinfo.zip
USER 65534:65534
# Settings come from S3GATE_* variables or from a file named by S3GATE_CONFIG.
# Links on 8080; the API on 8090 and metrics on 8091 listen on the container's
# own loopback until S3GATE_API_ADDR and S3GATE_OPS_ADDR say otherwise.
EXPOSE 8080 8090 8091
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s CMD ["/s3gate", "health"]
ENTRYPOINT ["/s3gate"]
CMD ["serve"]
