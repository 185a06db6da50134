"""Every option of Linux 6.18 is answered as there, or the page says why not."""

from __future__ import annotations

import os

import pytest

from tests.live.namespace import Namespace
from tests.sockets.options import answers, page
from tests.sockets.options.different import REASONS
from tests.sockets.world import KernelWorld, OurWorld

MEASURED_ON = "6.18."


@pytest.fixture(scope="module")
def ours() -> answers.Summary:
    return answers.measured(OurWorld)


def test_an_option_that_differs_has_a_reason_and_no_other_has_one(ours: answers.Summary) -> None:
    linux = answers.stored()
    assert linux.keys() == ours.keys()
    assert {name for name in linux if ours[name] != linux[name]} == REASONS.keys()


def test_the_page_is_current(ours: answers.Summary) -> None:
    """`python -m tests.sockets.options` writes it."""
    assert page.PAGE.read_text(encoding="utf-8") == page.text(ours, answers.stored())


def test_what_has_an_effect_is_taken(ours: answers.Summary) -> None:
    for name in page.EFFECTS:
        verdicts = {page.verdict([line]) for line in ours[name].values()}
        assert "taken" in verdicts, name


@pytest.mark.live
@pytest.mark.skipif(
    not os.uname().release.startswith(MEASURED_ON), reason=f"measured on {MEASURED_ON}x"
)
def test_linux_answers_as_it_did(kernel_namespace: Namespace) -> None:
    found = answers.measured(lambda family: KernelWorld(family, kernel_namespace))
    linux = answers.stored()
    assert {name: found[name] for name in found if found[name] != linux[name]} == {}
