# Run `make` to see what there is. Everything built goes to .bin.

MODULES := . link breakergrpc breakerprom breakerotel server bench examples
BIN     := $(CURDIR)/.bin
LINT    := $(BIN)/golangci-lint
ARGS    ?=
FUZZ    ?= 30s
SEEDS   ?= 900
SOAK    ?= 10m

# The same flags for every target, so that all share one build cache. No stamp
# of the version control system: it would fail where git doesn't trust the folder.
export GOFLAGS := -buildvcs=false
# gcc isn't needed for what users run; only the race detector wants it.
GO_STATIC := CGO_ENABLED=0 go build -trimpath

.DEFAULT_GOAL := help
.PHONY: help tools build switchgear demo test check fmt generate bench bench-fleet bench-link scenarios properties soak fuzz mutants clean
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

help: ## this list
	@echo 'make TARGET [ARGS="…"]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

tools: ## what is installed, what is needed for what, and how to get it
	@tools/check-tools

build: switchgear ## .bin/switchgear and .bin/bench
	cd bench && $(GO_STATIC) -o $(BIN)/bench .

switchgear: # what users run, alone: a first demo doesn't wait for the benchmarks' peers
	cd server && $(GO_STATIC) -o $(BIN)/switchgear ./cmd/switchgear

demo: switchgear ## a fleet of processes, faults and recovery in about two minutes; ARGS="--help" lists its flags
	@$(BIN)/switchgear demo $(ARGS)

test: ## every test with the race detector, in random order; prints the seconds of each part
	@tools/test $(MODULES)

check: $(LINT) ## format, lint with vet, dependency rule, generated files, go.mod files, every module without go.work
	@tools/check $(MODULES)

fmt: $(LINT) ## format every Go file
	@$(LINT) fmt ./...

generate: ## the code made from link's proto files
	@tools/generate

bench: build ## the same calls through this library and its peers; ARGS goes to .bin/bench
	@$(BIN)/bench $(ARGS)

bench-fleet: switchgear ## what a fleet costs a daemon, and brings, as JSON; ARGS="--json=false" prints tables, ARGS="--help" lists its flags
	@$(BIN)/switchgear lab scale --json $(ARGS)

bench-link: switchgear ## what calls pay while the daemon is killed, stopped and cut off, in about three minutes; ARGS="--help" lists its flags
	@$(BIN)/switchgear lab link $(ARGS)

scenarios: switchgear ## the ten scenarios in virtual time, with peers beside; ARGS="--help" lists its flags
	@$(BIN)/switchgear lab scenarios $(ARGS)

properties: ## the rules of the automatic engine on SEEDS=900 seeds each, 10,000 in all; a failing one prints how to play it again
	go test -count=1 -timeout 4h ./internal/sim/evaluate -run '^TestProperty' -seeds $(SEEDS)

soak: ## replicas, links and daemons that come and go for SOAK=10m under the race detector: goroutines and heap must not grow
	cd server && CGO_ENABLED=1 go test -race -count=1 -timeout 0 ./app -run '^TestSoak' -v -soak $(SOAK)

fuzz: ## each fuzz test of every module for FUZZ=30s
	@tools/fuzz $(FUZZ) $(MODULES)

mutants: ## change the engine's code in small ways: a test must notice each
	@cd tools/mutants && GOWORK=off go run . $(ARGS)

clean: ## remove what was built
	rm -rf $(BIN)

$(LINT): tools/lint/go.mod tools/lint/go.sum
	cd tools/lint && CGO_ENABLED=0 GOWORK=off go build -trimpath -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@
