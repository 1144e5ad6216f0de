"""A failure is read by the user's hook first, and by the library wherever the hook does not answer."""

from __future__ import annotations

import logging

import pytest

from resilient_ai.core.clock import SYSTEM_CLOCK
from resilient_ai.core.failure import FailureKind, Verdict, verdict_of
from resilient_ai.judging import ClassifyHook, judged


def _refused(error: Exception) -> Verdict:
    del error
    raise RuntimeError("a secret of the hook's")


def _always(answer: Verdict | FailureKind | str | None) -> ClassifyHook:
    return lambda _: answer


@pytest.mark.parametrize(
    "answer", [FailureKind.RATE_LIMITED, "rate_limited", verdict_of(FailureKind.RATE_LIMITED)]
)
def test_what_the_hook_says_counts(answer: Verdict | FailureKind | str) -> None:
    assert judged(ConnectionError(), _always(answer), SYSTEM_CLOCK).kind is FailureKind.RATE_LIMITED


@pytest.mark.parametrize("hook", [None, _always(None)])
def test_without_an_answer_of_the_hook_the_library_reads(hook: ClassifyHook | None) -> None:
    assert judged(ConnectionError(), hook, SYSTEM_CLOCK).kind is FailureKind.CONNECTION


@pytest.mark.parametrize("hook", [_refused, _always("no such kind")])
def test_a_hook_that_fails_turns_no_failure_into_another_and_is_named_in_the_log(
    hook: ClassifyHook, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert judged(ConnectionError(), hook, SYSTEM_CLOCK).kind is FailureKind.CONNECTION
    assert "classify hook raised" in caplog.text
    assert "secret" not in caplog.text
