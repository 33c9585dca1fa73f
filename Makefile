# make test     everything: what CI runs
# make gobench  the Go benchmarks of what is hot, BENCH_COUNT times each, compared with
#               those in BENCH_BASE=FILE by benchstat
# make bench    s3gate beside nginx, nginx with Lua and Redis, and HAProxy, in a
#               quarter of an hour; writes docs/performance.md
# make fuzz     every fuzz target for FUZZTIME each
# make soak     SOAK_OPS operations on gates in trouble, whose histories must fit,
#               and uploads of sizes that take too long otherwise
# make leaks    how fast the leak watch reads an access log of 1 GiB, and what it takes
# make rolling  three gates behind HAProxy and nginx are restarted in turn, under load for
#               ROLLING, and nothing may fail
# make fresh    tries the guides on a fresh Debian 12, in a container that boots systemd; as
#               root. With MAKE_TEST=1 "make test" too
# make screenshots  a picture of every page and state, in SCREENSHOTS
# make million  what a million tokens take in Redis, and how long
# make build    the binary, for this machine; BIN=FILE says where to
# make man      manual pages, in ./man
# make site     the manual as a site, in dist/site
# make licences what is linked under which licence, in docs/licences.md
# make gosec    looks for mistakes that matter to security
# make vulns    asks for known vulnerabilities of what is linked
# make cross    builds for linux, darwin and windows

GO       ?= go
FUZZTIME ?= 1m
TIMEOUT  ?= 40m
SOAK_OPS ?= 1000000
ROLLING  ?= 1m
SCREENSHOTS ?= dist/screenshots
BIN      ?= s3gate
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# Which benchmarks gobench runs, and where it keeps what they took.
BENCH       ?= .
BENCH_COUNT ?= 6
BENCH_OUT   ?= dist/gobench/$(shell git describe --always --dirty 2>/dev/null || echo now).txt
BENCH_BASE  ?=

# The race detector needs cgo; without a C compiler the tests run without it.
RACE := $(if $(shell command -v gcc || command -v clang),-race,)

# MinIO is built from source once and kept outside the tree. It is a separate
# program for the tests; nothing here links it.
MINIO_VERSION := v0.0.0-20260212201848-7aac2a2c5b7c
MINIO_DIR     := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/s3gate/minio-$(MINIO_VERSION)
MINIO         := $(MINIO_DIR)/minio

# What browsers upload with, and axe-core, which looks at pages: pinned in the lock
# file and kept outside the tree too. Nothing of it ships.
UPLOADERS_LOCK := internal/s3gatetest/uploaders/package-lock.json
UPLOADERS_DIR  := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/s3gate/uploaders-$(shell git hash-object $(UPLOADERS_LOCK) | cut -c1-12)
UPLOADERS      := $(UPLOADERS_DIR)/node_modules/.package-lock.json

# Pebble is a certificate authority that speaks ACME, and h2spec tries servers against
# the specification of HTTP/2. The tests start both, and nothing of them ships.
PEBBLE_VERSION := v2.10.1
PEBBLE_DIR     := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/s3gate/pebble-$(PEBBLE_VERSION)
PEBBLE         := $(PEBBLE_DIR)/pebble
H2SPEC_VERSION := v2.2.1
H2SPEC         := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/s3gate/h2spec-$(H2SPEC_VERSION)/h2spec

# Programs and files that the tests and "make bench" need, and the Debian packages
# that have them.
PACKAGES := redis-server:redis-server promtool:prometheus curl:curl wget:wget aria2c:aria2 node:nodejs npm:npm python3:python3 /usr/sbin/nginx:nginx chromium:chromium faketime:faketime groff:groff-base systemd-analyze:systemd openssl:openssl /usr/share/fonts/opentype/ipafont-gothic/ipag.ttf:fonts-ipafont-gothic \
	/usr/sbin/haproxy:haproxy slowhttptest:slowhttptest h2load:nghttp2-client taskset:util-linux /usr/lib/nginx/modules/ngx_http_lua_module.so:libnginx-mod-http-lua /usr/share/lua/5.1/nginx/redis.lua:lua-nginx-redis

.PHONY: test unit lint cross deps programs build man site licences gosec vulns bench gobench fuzz soak leaks rolling million fresh screenshots

test: deps lint gosec cross unit

# Tests of these packages start many programs and judge what happens in time:
# one package has the machine for itself.
BUSY := ./loadtest ./loadtest/peers ./tokens ./revocation ./proxy ./internal/gate ./internal/consistency ./cmd/s3gate

# Tests judge what happens in time, on machines that may stand still for a second: up
# to 20 that fail (a subtest counts, and what it is in) are run once more, whole, and
# listed. A data race never is.
FAILED  := dist/failed-once.txt
TESTSUM := $(GO) tool -modfile=tools/go.mod gotestsum --format pkgname --rerun-fails=1 --rerun-fails-max-failures 20 \
	--rerun-fails-run-root-test --rerun-fails-abort-on-data-race --rerun-fails-report $(FAILED)

unit: export S3GATE_TEST_MINIO = $(MINIO)
unit: export S3GATE_TEST_UPLOADERS = $(UPLOADERS_DIR)
unit: export S3GATE_TEST_PEBBLE = $(PEBBLE)
unit: export S3GATE_TEST_H2SPEC = $(H2SPEC)
unit:
	@mkdir -p $(dir $(FAILED))
	$(TESTSUM).1 --packages "$$($(GO) list ./... | grep -vxF "$$($(GO) list $(BUSY))")" -- $(RACE) -timeout $(TIMEOUT)
	$(TESTSUM).2 --packages "$(BUSY)" -- $(RACE) -timeout $(TIMEOUT) -p 1
	$(TESTSUM).3 --packages "./internal/fault ./internal/consistency ./loadtest" -- -tags faults -timeout $(TIMEOUT) -run Fault
	@cat $(FAILED).* 2>/dev/null || true

lint:
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt-clean:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags faults ./...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	$(GO) tool -modfile=tools/go.mod staticcheck -tags faults ./...

cross:
	GOOS=linux   GOARCH=arm64 CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/s3gate
	GOOS=darwin  GOARCH=arm64 CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/s3gate
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/s3gate

deps: programs $(MINIO) $(PEBBLE) $(H2SPEC) $(UPLOADERS)

programs:
	@missing=; for p in $(PACKAGES); do test -e $${p%%:*} || command -v $${p%%:*} >/dev/null || missing="$$missing $${p##*:}"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$missing; \
	  else \
	    echo "missing:$$missing - the tests that need them are skipped, unless CI=true"; \
	  fi; \
	fi

$(MINIO):
	@echo "building MinIO for the tests, once (a few minutes)"
	GOBIN=$(MINIO_DIR) $(GO) install github.com/minio/minio@$(MINIO_VERSION)

$(PEBBLE):
	GOBIN=$(PEBBLE_DIR) $(GO) install github.com/letsencrypt/pebble/v2/cmd/pebble@$(PEBBLE_VERSION)

$(H2SPEC):
	$(GO) build -modfile=tools/h2spec/go.mod -o $@ github.com/summerwind/h2spec/cmd/h2spec

# Where npm is missing, or reaches no registry, the tests that need it say so.
$(UPLOADERS): | programs
	@mkdir -p $(UPLOADERS_DIR)
	@cp internal/s3gatetest/uploaders/package.json $(UPLOADERS_LOCK) $(UPLOADERS_DIR)
	-cd $(UPLOADERS_DIR) && npm ci --ignore-scripts --no-audit --no-fund

# The same source makes the same binary, wherever it is built. The Dockerfile builds so too.
build:
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o $(BIN) ./cmd/s3gate

man:
	$(GO) test ./cmd/s3gate -run TestManualPages -man $(CURDIR)/man

site:
	$(GO) run -C tools/site . -root $(CURDIR) -out $(CURDIR)/dist/site

licences:
	$(GO) run ./internal/licences >docs/licences.md.part
	@mv docs/licences.md.part docs/licences.md

# What gosec finds and we have looked at, by rule:
#   G101  names with "token" and "passcode" in them are no credentials
#   G104  errors of closing what was read, and of hashes, which have none
#   G115  sizes are checked where they come in
#   G203  styles and scripts of our own pages
#   G304  files are named by who runs the program, and by no request; so G703 and G122
#   G401  MD5 and SHA-1 are S3's ETags and checksums; so G501 and G505
#   G404  chance for delays and for load; what must not be guessed is of crypto/rand
# and by place, as PATH:RULES;... : the health check asks this machine, a report of a load
# test is for everybody to read, bodies of answers are escaped where they are made, a slot
# is given back although the client is gone, how much a socket has is asked by ioctl, the
# console's cookie is Secure wherever it can be, a feed ends with who follows it, and to
# https leads only a name of ours.
GOSEC_RULES  := G101,G104,G115,G122,G203,G304,G401,G404,G501,G505,G703
GOSEC_PLACES := cmd/s3gate/health[.]go:G402;cmd/s3gate/loadtest[.]go:G306;proxy/answer[.]go:G705;tokens/slots[.]go:G118;s3client/waiting_linux[.]go:G103;console/session[.]go:G124;api/feed[.]go:G118;internal/gate/acme[.]go:G710
# Programs for building, for tests and for load, which run what they are told to.
GOSEC_LEAVES := -exclude-dir=internal/s3gatetest -exclude-dir=internal/apigen -exclude-dir=internal/licences -exclude-dir=loadtest -exclude-dir=tools

gosec:
	$(GO) tool -modfile=tools/gosec/go.mod gosec -quiet -exclude=$(GOSEC_RULES) -exclude-rules='$(GOSEC_PLACES)' $(GOSEC_LEAVES) ./...

# The database is on the internet. Where it cannot be reached nothing is known, which is
# said, and is no success.
vulns:
	$(GO) tool -modfile=tools/vulns/go.mod govulncheck ./cmd/s3gate

bench: programs
	$(GO) run ./loadtest/peers -doc docs/performance.md

HOT := ./tokens ./revocation ./s3client ./proxy ./events ./auth ./policy ./api

gobench:
	@mkdir -p $(dir $(BENCH_OUT))
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(BENCH_COUNT) -timeout 0 -p 1 $(HOT) >$(BENCH_OUT).part
	@mv $(BENCH_OUT).part $(BENCH_OUT)
	$(GO) tool -modfile=tools/go.mod benchstat $(BENCH_BASE) $(BENCH_OUT)
	@echo "kept in $(BENCH_OUT)"

fuzz:
	@set -e; for d in $$($(GO) list -f '{{.Dir}}' ./...); do \
	  for f in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$d/*_test.go 2>/dev/null); do \
	    echo "== $$d $$f"; (cd $$d && $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) .); \
	  done; \
	done

soak:
	S3GATE_SOAK_OPS=$(SOAK_OPS) $(GO) test -v -timeout 0 -run Soak ./internal/consistency
	S3GATE_TEST_UPLOADS=soak $(GO) test -v -timeout 0 -run Soak ./proxy ./internal/gate

leaks:
	S3GATE_TEST_LOG_BYTES=1073741824 $(GO) test -v -count 1 -timeout 0 -cpu 1 -run PlantedAttempts ./guard/leakwatch

rolling: export S3GATE_TEST_MINIO = $(MINIO)
rolling: programs $(MINIO)
	S3GATE_TEST_ROLLING=$(ROLLING) $(GO) test -v -count 1 -timeout 0 -run RollingRestart ./internal/gate

fresh:
	$(if $(shell command -v debootstrap && command -v systemd-nspawn),,apt-get install -qy --no-install-recommends systemd-container debootstrap)
	deploy/try/fresh.sh

screenshots: export S3GATE_TEST_UPLOADERS = $(UPLOADERS_DIR)
screenshots: programs $(UPLOADERS)
	S3GATE_SCREENSHOTS=$(abspath $(SCREENSHOTS)) $(GO) test -count 1 -timeout 0 -run 'Screenshots|Looks' ./internal/gate

million:
	S3GATE_TEST_TOKENS=1000000 $(GO) test -v -count 1 -timeout 0 -run ManyTokens ./tokens
