# The interface to this repository. "make run" and "make test" need Go and make alone.
.DEFAULT_GOAL := build
.PHONY: build run echo js js-test test test-tls peers race sim fuzz bench bench-tls load million compare lint vuln clean

# Static binaries, the same with and without a C compiler on the machine.
export CGO_ENABLED := 0

# A command with the arguments of go test.
GOTEST ?= go test

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

build: ## bin/tickcast and bin/tickload
	go build -trimpath -o bin/ ./cmd/...

run: build ## a server with an embedded NATS server on 127.0.0.1:4222 and a demo market
	TICKCAST_NATS_EMBEDDED_LISTEN=$${TICKCAST_NATS_EMBEDDED_LISTEN-127.0.0.1:4222} exec ./bin/tickcast -demo

ECHO_LISTEN ?= 127.0.0.1:9001
echo: build ## a WebSocket echo server on any path of ECHO_LISTEN but /stream, for conformance tools
	TICKCAST_SERVER_LISTEN=$(ECHO_LISTEN) TICKCAST_SERVER_INTERNAL_LISTEN= TICKCAST_NATS_URLS= TICKCAST_NATS_EMBEDDED_LISTEN= \
	TICKCAST_DEBUG_ECHO_PATH=/ TICKCAST_DEBUG_ECHO_QUEUE_BYTES=64MiB TICKCAST_LIMITS_MAX_MESSAGE_SIZE=16MiB \
	TICKCAST_SERVER_SEND_BUFFER=0 exec ./bin/tickcast

test: ## all tests, the JavaScript ones where node is installed
	go vet ./...
	$(GOTEST) -shuffle=on ./...
	cd wsproto/compare && go vet ./... && $(GOTEST) -shuffle=on ./...
	@if command -v node >/dev/null; then node --test cmd/tickcast/web/*.test.mjs; \
	else echo "node is not installed: the JavaScript tests are skipped"; fi
	@if [ -d client/js/node_modules ]; then $(MAKE) js-test; \
	else echo "client/js/node_modules is not there (make js): the client's tests are skipped"; fi

js: ## client/js/dist from client/js/src, and its size; needs Node.js and npm
	cd client/js && npm ci --no-audit --no-fund && npm run build

js-test: build ## the JavaScript client against bin/tickcast; needs Node.js and what make js installs
	cd client/js && TEST_SERVER=$(CURDIR)/bin/tickcast npm test

test-tls: ## the tests of eventloop, of the whole server and of the Go client over TLS, and those of eventloop by the records of crypto/tls
	@TICKCAST_TEST_TLS=driven $(GOTEST) -shuffle=on ./eventloop & driven=$$!; \
	TICKCAST_TEST_TLS=own $(GOTEST) -shuffle=on ./eventloop ./cmd/tickcast ./client; own=$$?; \
	wait $$driven && exit $$own

peers: ## the tests of the servers that make compare measures, those of nginx and Node.js where they are installed
	cd loadtest/peers && go vet ./... && $(GOTEST) -shuffle=on ./...

race: export CGO_ENABLED := 1
race: ## all tests with the race detector (needs a C compiler)
	$(GOTEST) -race -shuffle=on -timeout 20m ./...

SEEDS ?= 10000
FIRST ?= 1
sim: ## the simulator: SEEDS seeds from FIRST on, and the kinds of faults that they met
	go test -count=1 -timeout 0 -v -run 'Seeds$$' ./broadcast/sim -seeds $(SEEDS) -first $(FIRST) -fresh 1000

FUZZTIME ?= 20s
fuzz: ## each fuzz target for FUZZTIME
	@set -e; for dir in . wsproto/compare; do for pkg in $$(cd $$dir && go list ./...); do \
		for target in $$(cd $$dir && go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; (cd $$dir && go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg); \
		done; done; done

bench: ## the codec beside other libraries, then whole servers, most of them beside a bare write loop (about twenty minutes)
	go test -run '^$$' -bench . -benchmem ./wsproto ./broadcast ./eventloop
	cd wsproto/compare && go test -run '^$$' -bench . -benchmem .
	go test -run '^$$' -bench 'Benchmark(Fanout|Coalesce|SlowReaders|EchoUnderFanout|Scaling|IdleMemory)' -benchtime 1x -timeout 60m ./loadtest/bench

bench-tls: ## TLS beside clear text and crypto/tls, tokens and limits beside none (about half an hour)
	go test -run '^$$' -bench 'TLS|Access|CommandLimits' -benchtime 1x -timeout 90m ./loadtest/bench

load: build ## 10,000 clients of one server for a minute, 1,000 messages a second on 300 topics; bin/load.html
	./bin/tickload -server bin/tickcast -conns 10000 -topics 'px.{1-300}' -idle 10s -rate 1000/s -hold 60s -html bin/load.html

# Keep-alive every two minutes: for a million clients, one every 15 seconds would keep a small machine busy.
million: build ## a million clients, held idle for five minutes, then three messages to all; bin/million.html, .json
	TICKCAST_CONNECTION_HEARTBEAT=2m TICKCAST_CONNECTION_PING_INTERVAL=2m TICKCAST_CONNECTION_IDLE_TIMEOUT=6m \
	./bin/tickload -server bin/tickcast -conns 1000000 -ramp 20000/s -timeout 60s -topics px.ALL -idle 5m \
		-rate 0.02/s -messages 3 -hold 0 -settle 60s -html bin/million.html -json bin/million.json

compare: ## tickcast beside other servers that broadcast, those of nginx and Node.js where they are installed (about ten minutes)
	! command -v npm >/dev/null || (cd loadtest/peers/node && npm ci --no-audit --no-fund)
	cd loadtest/peers && go run . compare -out ../results/peers.txt

lint: ## formatting, vet, staticcheck, tidy modules
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	go mod tidy -diff
	cd wsproto/compare && go vet ./... && go run $(STATICCHECK) ./... && go mod tidy -diff
	cd loadtest/peers && go vet ./... && go run $(STATICCHECK) ./... && go mod tidy -diff

vuln: ## known vulnerabilities, by a database from the Go module proxy; those named in .ci/vuln.known do not count
	.ci/vuln

clean:
	rm -rf bin
