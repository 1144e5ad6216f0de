"""Which names of fields say that the value is secret."""

from __future__ import annotations

import pytest

from resilient_ai.privacy.key_names import Secrecy, is_sensitive, secrecy

SENSITIVE = (
    "client_secret", "x-api-key", "X-API-Key", "ApiKey", "apiKey", "APIKEY", "OPENAI_API_KEY", "x-goog-api-key",
    "aws_secret_access_key", "password", "userPassword", "passwd", "db_pass", "PGPASSWORD", "passphrase",
    "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "access_token", "accessToken", "refresh-token",
    "id_token", "tokens.access_token", "JSESSIONID", "PHPSESSID", "private_key", "privateKey", "signing.key",
    "credentials", "jwt", "bearer", "auth", "token", "X-Amz-Signature", "sig", "otp", "cvv", "ssn", "card_number",
    "account_number", "passport", "date_of_birth", "connectionString", "SharedAccessKey", "session_id",
    "author_token",
)  # fmt: skip
OPEN = (
    "max_tokens", "token_type", "session_count", "author", "authority", "authored_by", "trace_id", "span_id",
    "model", "duration", "input_tokens", "gen_ai.usage.input_tokens", "time_to_first_token", "tokenizer", "token_count",
    "monkey", "keyboard", "key", "primary_key", "cache_key", "sort_key", "key_id", "secret_name", "password_policy",
    "cookie_count", "auth_type", "compass", "passed", "bypass_count", "mission", "session_timeout_seconds", "pinned",
    "signal", "page_token", "eos_token", "", "123", "tokens", "cached_tokens", "cardinality", "expired_at",
)  # fmt: skip


@pytest.mark.parametrize("name", SENSITIVE)
def test_a_secret_is_known_in_any_spelling_of_its_name(name: str) -> None:
    assert is_sensitive(name)


@pytest.mark.parametrize("name", OPEN)
def test_names_that_merely_contain_a_sensitive_word_stay(name: str) -> None:
    assert not is_sensitive(name)


def test_a_name_that_is_often_prose_is_only_likely() -> None:
    assert secrecy("token") is Secrecy.LIKELY
    assert secrecy("access_token") is Secrecy.CERTAIN


def test_a_name_of_any_length_is_judged_by_its_end() -> None:
    assert is_sensitive("a_" * 100_000 + "password")
