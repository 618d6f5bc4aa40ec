"""What the page says of those who answered."""

from __future__ import annotations

import numpy as np
import pytest
from asking import answer_all, go_on, reply, truth

from bal.annotation.inbox import Inbox
from bal.report.people import team_of, team_table
from bal.report.publish import republish


@pytest.fixture(scope="module")
def waits(tmp_path_factory):
    """A run that waits in its first purchase, of which some is answered."""
    out = tmp_path_factory.mktemp("team") / "run"
    go_on(out)
    assert team_of(Inbox(out)) is None
    answer_all(out, "<b>ada</b>", seconds=2.0)
    go_on(out)
    inbox = Inbox(out)
    audit = next(e for e in inbox.open() if e.policy == "audit")
    inbox.answer(reply(audit, "eva", None))
    helped = next(e for e in inbox.open() if not e.blind)
    for by, label in (("eva", truth(helped)), ("ida", np.zeros(helped.box[2:], np.uint8))):
        inbox.answer(reply(helped, by, label, seconds=9.0))
    return out


def test_a_line_a_person_and_what_they_agree_on(waits):
    team = team_of(Inbox(waits))
    ada, eva, ida = team.people
    assert (ada.by, ada.labelled, ada.skipped, ada.seconds) == ("<b>ada</b>", 10, 0, 2.0)
    assert np.isnan(ada.changed), "nothing is drawn beforehand in a start set"
    assert (eva.labelled, eva.skipped, eva.audits_skipped, eva.seconds) == (1, 1, 1, 9.0)
    assert 0 <= ida.changed <= 1
    table = team_table(team)
    assert "&lt;b&gt;ada" in table
    assert "<b>ada" not in table
    assert "On 1 region that two people labelled they agree with an IoU of background" in table
    assert "1 audited region was skipped" in table


def test_the_page_has_it(waits):
    page = republish(waits).read_text()
    assert "Who has answered" in page
    assert "regions of the next purchase wait for answers" in page
    assert "<b>ada" not in page
