# The project's tasks. Each runs in the environment in .venv; `make env` makes it.
BIN := .venv/bin

.PHONY: env test machine long format check protos lock ci

env: ## everything that .ci/run checks with, in the versions that it has
	python3 -m venv .venv
	$(BIN)/pip install -q --no-compile -r requirements-ci.txt
	$(BIN)/pip install -q --no-deps -e ./clients/python -e .

test: ## the default tier: needs nothing beside Python
	$(BIN)/pytest -q -n 10 --dist worksteal

machine: ## the second tier, and fresh examples for the properties of the first
	$(BIN)/pytest -q -n 6 --dist worksteal -m "(machine or property) and not long" --hypothesis-profile=fresh

long: ## minutes and hours
	$(BIN)/pytest -q -m long

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: ## format, lint, types, protos
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd protos && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code --path compliance_gateway

protos: ## stubs and OpenAPI document anew
	$(BIN)/python protos/generate.py

lock: ## requirements-ci.txt anew; needs uv
	uv pip compile -q pyproject.toml --extra dev --universal --no-annotate --no-emit-package compliance-gateway-client \
		--custom-compile-command "make lock" -o requirements-ci.txt --upgrade

ci:
	.ci/run
