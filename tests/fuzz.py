"""Files spoilt in every way, and what may become of whoever reads them: what is there, or a refusal in one line."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from bal.types import BadInput

BOUND = 10.0  # seconds a case, of which a hundredth is usual
WORDS = (b"0", b"-1", b"9" * 30, b"nan", b"1e999", b"null", b'"', b"'", b"{", b"[", b"]", b"~", b":", b",", b";", b"\n")
WORDS += (
    b"\0",
    b"\r",
    b"\xff",
    b"\x80",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xae",
    b"\x1b[31m",
    b"#",
    b"%",
    b"&a *a",
    b"/",
    b"<",
)

# One change: which, where in the file as a share of it, how far, and with what.
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(("flip", "byte", "drop", "cut", "double", "insert", "word", "splice", "swap")),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 2**12),
        st.binary(min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=4,
)


def spoilt(whole: bytes, changes: Sequence[tuple[str, float, int, bytes]], other: bytes = b"") -> bytes:
    """A file with changes to it, from which nothing can be told; `other` is what is spliced into it."""
    data = bytearray(whole)
    for how, share, far, some in changes:
        at, end = int(share * len(data)), int(share * len(data)) + 1 + far % 64
        if how == "flip" and data:
            data[at] ^= 1 << far % 8
        elif how == "byte":
            data[at : at + 1] = some[:1]
        elif how == "drop":
            del data[at:end]
        elif how == "cut":
            del data[at:]
        elif how == "double":
            data[at:at] = data[at:end] * (1 + far % 5)
        elif how == "insert":
            data[at:at] = some
        elif how == "word":
            data[at : at + far % 4] = WORDS[far % len(WORDS)]
        elif how == "splice":
            start = far % (len(other or whole))
            data[at : at + far % 64] = (other or whole)[start : start + 64]
        elif how == "swap":
            data[at:end], data[:at] = data[: max(0, at)][:64], data[at:end] + data[64:at]
    return bytes(data)


class Hangs(BaseException):
    """Nobody catches it on the way."""


@contextmanager
def bounded(seconds: float = BOUND) -> Iterator[None]:
    """A context that is not waited for any longer; for the main thread."""

    def late(*rest: object) -> None:
        raise Hangs(f"no answer within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def outcome(read: Callable[[], Any]) -> str | None:
    """What is said of an input, in one line; None if it is read. Any other error is passed on: it would be a traceback.

    An OSError is what `exit_status` makes a line of.
    """
    with bounded():
        try:
            read()
        except BadInput as error:
            said = str(error)
            assert "\n" not in said, said
            assert 0 < len(said) < 1000, said
            return said
        except OSError as error:
            if not error.errno:  # it is none of the system's, which `exit_status` could name
                raise
            return str(error)
    return None


def fuzzed(few: int, many: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`examples` of a test: some always, many with the slow tests."""
    return pytest.mark.parametrize("examples", [few, pytest.param(many, marks=pytest.mark.slow)])


def every(examples: int, *strategies: st.SearchStrategy, **named: st.SearchStrategy) -> Callable[[Any], None]:
    """Runs a function over so many examples."""
    quiet = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)

    def run(check: Any) -> None:
        settings(max_examples=examples, suppress_health_check=quiet)(given(*strategies, **named)(check))()

    return run
