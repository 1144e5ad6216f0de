"""The filter redacts what any library logs through the standard library."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING

import pytest

from resilient_ai.privacy import RedactingFilter, Redactor, redact_handlers

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s %(payload)s", defaults={"payload": ""}))
    root = logging.getLogger("redaction-test")
    root.propagate = False
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    redact_handlers([handler])
    yield stream
    root.removeHandler(handler)


def test_a_record_of_a_child_logger_is_redacted_in_message_and_arguments(written: io.StringIO) -> None:
    logging.getLogger("redaction-test.child.deep").info("key %s for %d calls", KEY, 3)
    assert written.getvalue() == "key <KEY> for 3 calls \n"


def test_an_exception_is_redacted_with_its_causes(written: io.StringIO) -> None:
    try:
        try:
            raise KeyError(KEY)
        except KeyError as error:
            raise RuntimeError(f"password={KEY}") from error
    except RuntimeError:
        logging.getLogger("redaction-test").exception("failed")
    assert "RuntimeError" in written.getvalue()
    assert KEY[4:] not in written.getvalue()


def test_extra_fields_are_redacted_by_name_and_by_value(written: io.StringIO) -> None:
    logging.getLogger("redaction-test").info("x", extra={"payload": {"api_key": "abc", "note": KEY, "n": 1}})
    assert json.loads(written.getvalue()[2:].replace("'", '"')) == {
        "api_key": "<SECRET>",
        "note": "<KEY>",
        "n": 1,
    }


def test_arguments_that_cannot_be_formatted_are_withheld(written: io.StringIO) -> None:
    logging.getLogger("redaction-test").info("%d", KEY)
    assert written.getvalue() == "<REDACTION_FAILED> \n"


def test_an_exception_that_cannot_be_printed_fails_nobody(written: io.StringIO) -> None:
    class Mean(Exception):
        def __str__(self) -> str:
            raise RuntimeError(KEY)

    try:
        raise Mean
    except Mean:
        logging.getLogger("redaction-test").exception("failed")
    assert KEY not in written.getvalue()


def test_stack_information_is_redacted(written: io.StringIO) -> None:
    logging.getLogger("redaction-test").info("ghp_16C7e42F292c6912E7710c838347Ae178B4a", stack_info=True)
    assert KEY not in written.getvalue()


def test_a_handler_gets_one_filter_however_often_it_is_asked_for() -> None:
    handler = logging.NullHandler()
    redact_handlers([handler], Redactor("machine"))
    redact_handlers([handler])
    assert sum(isinstance(one, RedactingFilter) for one in handler.filters) == 1
