"""A secret shows itself only through `reveal`."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import traceback

import pytest

from resilient_ai.privacy import Secret

KEY = "sk-Zk4Q9bT7"


def test_no_way_of_printing_reveals_it() -> None:
    secret = Secret(KEY)
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret:>40}", f"{secret!r}", str([secret])):
        assert KEY not in shown
    assert secret.reveal() == secret.get_secret_value() == KEY


def test_it_is_neither_pickled_nor_serialised() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(Secret(KEY), protocol)
    with pytest.raises(TypeError):
        json.dumps(Secret(KEY))


def test_copies_are_the_same_object() -> None:
    secret = Secret(KEY)
    assert copy.copy(secret) is copy.deepcopy(secret) is secret


def test_secrets_compare_by_value_and_only_with_secrets() -> None:
    assert Secret(KEY) == Secret(Secret(KEY))
    assert Secret(KEY) != Secret("other")
    assert Secret(KEY) != KEY
    assert len({Secret(KEY), Secret(KEY)}) == 1
    assert len(Secret(KEY)) == len(KEY)


def test_it_cannot_be_changed() -> None:
    secret = Secret(KEY)
    with pytest.raises(AttributeError):
        secret._value = "x"
    with pytest.raises(AttributeError):
        del secret._value
    assert secret.reveal() == KEY


def test_a_traceback_with_the_object_in_it_does_not_show_it(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret(KEY)
    with pytest.raises(ValueError, match=r"\*") as caught:
        raise ValueError(secret)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    logging.getLogger("test").warning("using %s and %r", secret, secret)
    assert KEY not in caplog.text


def test_an_empty_secret_says_so() -> None:
    assert repr(Secret("")) == "Secret('')"
    assert not str(Secret(""))
