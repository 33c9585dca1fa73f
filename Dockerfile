# A static binary, CA certificates and nothing else; runs as nobody.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /s3gate ./cmd/s3gate

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /s3gate /s3gate
USER 65534:65534
# Settings come from S3GATE_* variables or from a file named by S3GATE_CONFIG.
# Links on 8080; the API on 8090 and metrics on 8091 listen on the container's
# own loopback until S3GATE_API_ADDR and S3GATE_OPS_ADDR say otherwise.
EXPOSE 8080 8090 8091
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/s3gate", "health"]
ENTRYPOINT ["/s3gate"]
CMD ["serve"]
