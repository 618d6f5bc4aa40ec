"""A person whose computer is switched off again and again while they answer: `person.py RUN NAME KILLS`.

Forks a process that answers whatever is open with the truth, and kills it after a random time; then the next, until
nothing is open for them. What has been acknowledged is noted in RUN/acknowledged-NAME.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
from runs import TINY

from bal.annotation.annotators import Oracle
from bal.annotation.entries import Reply
from bal.annotation.inbox import Inbox
from bal.types import Region

SOURCE = TINY.source.open()


def answer(folder: Path, by: str) -> None:
    """Answers one question after the other, slowly enough to be interrupted in the middle of a line."""
    fsync = os.fsync

    def slowly(handle: int) -> None:
        time.sleep(0.004)
        fsync(handle)

    os.fsync = slowly
    inbox = Inbox(folder)
    while asked := inbox.open(by):
        entry = asked[0]
        label = Oracle().annotate(SOURCE, [Region(entry.image, entry.region, entry.box)])[0].astype(np.uint8)
        outcome = inbox.answer(Reply(entry.id, by, "", "labelled", label, 1.0))
        with open(folder / f"acknowledged-{by}", "a") as file:
            file.write(f"{entry.id} {outcome}\n")


def main(folder: Path, by: str, kills: int) -> None:
    """Kills so often, and then lets it be."""
    rng, killed = random.Random(by), 0
    while Inbox(folder).open(by):
        child = os.fork()
        if not child:
            answer(folder, by)
            os._exit(0)
        if killed < kills:
            time.sleep(rng.uniform(0.001, 0.02))
            os.kill(child, signal.SIGKILL)
            killed += 1
        os.waitpid(child, 0)
    print(killed)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
