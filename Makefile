# The interface to this repository. "make run" and "make test" need Go and make alone.
.DEFAULT_GOAL := build
.PHONY: build run echo test race fuzz bench load million compare lint clean

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

build: ## bin/tickcast and bin/tickload
	go build -o bin/ ./cmd/...

run: build ## a server with an embedded NATS server on 127.0.0.1:4222 and a demo market
	TICKCAST_NATS_EMBEDDED_LISTEN=$${TICKCAST_NATS_EMBEDDED_LISTEN-127.0.0.1:4222} exec ./bin/tickcast -demo

ECHO_LISTEN ?= 127.0.0.1:9001
echo: build ## a WebSocket echo server on any path of ECHO_LISTEN but /stream, for conformance tools
	TICKCAST_SERVER_LISTEN=$(ECHO_LISTEN) TICKCAST_SERVER_INTERNAL_LISTEN= TICKCAST_NATS_URLS= TICKCAST_NATS_EMBEDDED_LISTEN= \
	TICKCAST_DEBUG_ECHO_PATH=/ TICKCAST_DEBUG_ECHO_QUEUE_BYTES=64MiB TICKCAST_LIMITS_MAX_MESSAGE_SIZE=16MiB \
	TICKCAST_SERVER_SEND_BUFFER=0 exec ./bin/tickcast

test: ## all tests
	go vet ./...
	go test -shuffle=on ./...
	cd wsproto/compare && go vet ./... && go test -shuffle=on ./...
	cd loadtest/peers && go vet ./... && go test -shuffle=on ./...

race: ## all tests with the race detector (needs a C compiler)
	go test -race -shuffle=on ./...

FUZZTIME ?= 20s
fuzz: ## each fuzz target for FUZZTIME
	@set -e; for dir in . wsproto/compare; do for pkg in $$(cd $$dir && go list ./...); do \
		for target in $$(cd $$dir && go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; (cd $$dir && go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg); \
		done; done; done

bench: ## the benchmarks of the codec and of other libraries' for the same work, then of whole servers, against a bare write loop where it can do the same (about twenty minutes)
	go test -run '^$$' -bench . -benchmem ./wsproto ./broadcast ./eventloop
	cd wsproto/compare && go test -run '^$$' -bench . -benchmem .
	go test -run '^$$' -bench 'Fanout|Coalesce|SlowReaders|EchoUnderFanout|Scaling|IdleMemory' -benchtime 1x -timeout 60m ./loadtest

load: build ## 10,000 clients of one server for a minute, 1,000 messages a second on 300 topics; bin/load.html
	./bin/tickload -server bin/tickcast -conns 10000 -topics 'px.{1-300}' -idle 10s -rate 1000/s -hold 60s -html bin/load.html

# Keep-alive every two minutes: a million clients' worth of it every 15 seconds would keep a small machine busy.
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

clean:
	rm -rf bin
