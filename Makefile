PYTHONS = 3.11 3.12 3.13 3.14
.PHONY: test fast versions lint format run smoke
test:    ## everything
	python -m pytest
fast:    ## without the tests marked slow
	python -m pytest -m "not slow"
versions: ## the fast tests on every Python of the classifiers, each in an environment of its own; needs uv
	for python in $(PYTHONS); do \
	    uv run --isolated --no-project --python $$python --with '.[test]' python -m pytest -m "not slow" || exit 1; \
	done
lint:    ## what CI checks besides the tests
	ruff check . && ruff format --check . && pyright --pythonpath "$$(which python)"
format:
	ruff check --fix . && ruff format .
run:     ## the default experiment
	python -m bal.run --acq bald --overwrite
smoke:   ## the same in seconds
	python -m bal.run --acq bald --config configs/smoke.yaml --overwrite
