.PHONY: test fast lint format run smoke
test:    ## everything
	python -m pytest
fast:    ## without the tests marked slow
	python -m pytest -m "not slow"
lint:    ## what CI checks besides the tests
	ruff check . && ruff format --check . && pyright --pythonpath "$$(which python)"
format:
	ruff check --fix . && ruff format .
run:     ## the default experiment
	python -m bal.run --acq bald --overwrite
smoke:   ## the same in seconds
	python -m bal.run --acq bald --config configs/smoke.yaml --overwrite
