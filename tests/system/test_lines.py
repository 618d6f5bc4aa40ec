"""Lines that many processes add to, and what editors and kills leave of the last one."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from bal.system.lines import Lines
from bal.types import BadInput


def line(n: int) -> str:
    return json.dumps({"n": n}) + "\n"


@pytest.fixture
def lines(tmp_path):
    found = Lines(tmp_path / "lines.jsonl")
    found.append(line(0) + line(1))
    return found


def read(lines: Lines) -> list[int]:
    return [found["n"] for _, found in lines.news(json.loads)]


def test_a_last_line_that_lacks_its_end_alone_counts(lines):
    """It was passed over, and the next to add a line deleted it."""
    whole = lines.path.read_bytes()
    lines.path.write_bytes(whole[:-1])
    assert lines.size == len(whole)
    assert [end for end, _ in lines.news(json.loads)] == [len(line(0)), len(whole)]
    assert read(lines) == []
    lines.append(line(2))
    assert lines.path.read_bytes() == whole + line(2).encode()
    assert read(lines) == [2]
    assert read(Lines(lines.path)) == [0, 1, 2]


@pytest.mark.parametrize("left", [1, 5, len(line(1)) - 2], ids=["a letter", "a part", "all but a brace"])
def test_a_part_of_a_line_is_cut_by_the_next(lines, left):
    whole = lines.path.read_bytes()
    lines.path.write_bytes(whole[: len(line(0)) + left])
    assert lines.size == len(line(0))
    assert read(lines) == [0]
    lines.append(line(2))
    assert lines.path.read_bytes() == (line(0) + line(2)).encode()
    assert read(lines) == [2]


def test_what_goes_on_where_a_line_should_end_is_damage(lines):
    lines.path.write_bytes(lines.path.read_bytes()[:-1])
    assert read(lines) == [0, 1]
    with open(lines.path, "ab") as file:
        file.write(b'{"n": 2}\n')
    with pytest.raises(BadInput, match="line 2 is damaged: it goes on"):
        read(lines)


def test_a_file_that_becomes_shorter_is_refused(lines):
    assert read(lines) == [0, 1]
    lines.path.write_text(line(0))
    with pytest.raises(BadInput, match="has become shorter"):
        read(lines)


def again(path: Path, content: str) -> None:
    path.unlink()
    path.write_text(content)


@pytest.mark.parametrize("put", [again, Path.write_text], ids=["another file", "in its place"])
@pytest.mark.parametrize("longer", [True, False])
def test_a_file_that_has_become_that_of_another_run_is_refused(put, longer, lines):
    """A desk took an answer for the question of the same name in the run that had taken the place of its own."""
    assert read(lines) == [0, 1]
    put(lines.path, line(0) + line(7) + line(8) * longer)
    with pytest.raises(BadInput, match="is another than it was when it was read: begin again"):
        read(lines)


def test_a_copy_of_a_file_is_as_good(lines):
    assert read(lines) == [0, 1]
    again(lines.path, lines.path.read_text() + line(2))
    assert read(lines) == [2]


@pytest.mark.parametrize("target", ["nowhere", "lines.jsonl"])
def test_a_link_to_nowhere_is_not_no_file(target, tmp_path):
    """Three answers counted as none, because the drive that held them was away."""
    lines = Lines(tmp_path / "lines.jsonl")
    lines.path.symlink_to(target)
    for ask in (lambda: read(lines), lambda: lines.size, lambda: lines.append(line(0))):
        with pytest.raises(BadInput, match="is a link to nowhere"):
            ask()


def test_a_fifo_keeps_nobody_waiting(tmp_path):
    lines = Lines(tmp_path / "lines.jsonl")
    os.mkfifo(lines.path)
    for ask in (lambda: read(lines), lambda: lines.append(line(0))):
        with pytest.raises(BadInput, match="is a FIFO"):
            ask()


def test_nobody_sees_a_part_that_a_writer_takes_back(lines):
    """A full disk: a reader that had seen the first line of two was told that the file had become shorter."""
    reader, seen, inside = Lines(lines.path), [], threading.Event()
    assert read(reader) == [0, 1]

    def look():
        inside.set()
        seen.extend(read(reader))

    other = threading.Thread(target=look)
    with lines.alone() as file:
        there = file.seek(0, 2)
        file.write(line(2).encode())
        other.start()
        assert inside.wait(10)
        other.join(0.2)
        assert not seen
        file.truncate(there)
    other.join(10)
    assert not other.is_alive()
    assert seen == []
    lines.append(line(3))
    assert read(reader) == [3]


def test_whoever_writes_may_read(lines):
    with lines.alone() as file:
        lines.write(file, line(2))
        assert read(lines) == [0, 1, 2]
