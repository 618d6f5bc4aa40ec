"""What the small programs say of a command line that they cannot read: one line, and status 2, as `bal.run` does."""

from __future__ import annotations

import pytest

from bal import answer, desk, query, run
from bal.config import resolve
from bal.config.dump import dump_yaml
from bal.report import __main__ as report

PROGRAMS = {"answer": answer.main, "desk": desk.main, "query": query.main, "report": report.main, "run": run.main}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("answer", "missing: RUN; see python -m bal.answer --help"),
        ("desk", "missing: RUN; see python -m bal.desk --help"),
        ("query", "missing: RUN; see python -m bal.query --help"),
        ("report", "missing: RUN; see python -m bal.report --help"),
        ("answer --nope", "unknown option --nope; see python -m bal.answer --help"),
        ("answer runs/x --formt coco", "unknown option --formt; did you mean '--format'?"),
        ("answer runs/x --format gif", "--format: expected one of 'coco', 'cvat', 'label-studio', 'png', got 'gif'"),
        ("answer runs/x --by", "--by: a value is missing"),
        ("answer a b c", "unexpected 'c'; python -m bal.answer --help says what goes where"),
        ("query runs/x --to gif", "--to: expected one of 'png', 'label-studio', 'coco', 'cvat', got 'gif'"),
        ("query runs/x --tp=png", "unknown option --tp; did you mean '--to'?"),
        ("desk runs/x --port abc", "--port: expected a whole number, got 'abc'"),
        ("desk runs/x --no-opn", "unknown option --no-opn; did you mean '--no-open'?"),
        ("report runs/x --bad", "unknown option --bad; see python -m bal.report --help"),
        ("run --rounds", "--rounds: a value is missing"),
        ("run --rounds abc", "--rounds: expected a whole number, got 'abc'"),
    ],
)
def test_a_usage_error_is_one_line(line, message, capsys):
    program, *words = line.split()
    assert PROGRAMS[program](words) == 2
    said = capsys.readouterr()
    assert said.err == f"bal: error: {message}\n"
    assert not said.out


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_no_error_and_fits_a_terminal(program, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        PROGRAMS[program](["--help"])
    assert end.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("python -m bal" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_what_only_a_run_writes_is_no_option_of_help(capsys):
    """The settings are there, and a file of a run may hold them."""
    with pytest.raises(SystemExit):
        run.main(["source:vintages", "--help"])
    text = capsys.readouterr().out
    assert "--source.windows" in text
    assert "--source.looks" not in text
    assert "--history" not in text
    config = resolve.parse(["source:vintages"]).config
    written = dump_yaml(config)
    assert "history:" in written
    assert f"looks: {config.source.looks}" in written
