from __future__ import annotations

from resilient_ai.config import policy_digest


def test_equal_policies_have_equal_digests_however_they_are_written() -> None:
    one = policy_digest({"deadline": 20, "models": ["a", "b"], "retry": {"base": 0.5, "attempts": 3}})
    other = policy_digest({"retry": {"attempts": 3.0, "base": 0.5}, "models": ("a", "b"), "deadline": 20.0})
    assert one == other
    assert len(one) == 12


def test_the_digest_stays_the_same_over_releases() -> None:
    assert policy_digest({"deadline": 20.0, "retry": {"attempts": 3}}) == "9fb618d7b163"


def test_any_change_of_policy_changes_the_digest() -> None:
    digests = {
        policy_digest(policy)
        for policy in (
            {},
            {"deadline": 20},
            {"deadline": 21},
            {"deadline": "20"},
            {"deadline": None},
            {"deadline": True},
            {"models": ["a", "b"]},
            {"models": ["b", "a"]},
            {"models": {"a": "b"}},
        )
    }
    assert len(digests) == 9


def test_a_key_takes_no_part_however_deep_it_stands() -> None:
    plain: dict[str, object] = {"models": {"big": {"model": "x", "options": {}}}}
    keyed = {"models": {"big": {"model": "x", "api_key": "env:A", "options": {"client_secret": "env:B"}}}}
    assert policy_digest(plain) == policy_digest(keyed)
