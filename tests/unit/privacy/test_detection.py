"""What the two profiles find, and what they leave alone."""

from __future__ import annotations

import random  # noqa: TID251 - a seeded sequence

import pytest

import redaction_corpus as corpus
from resilient_ai.privacy import Redactor, redact, redact_log
from resilient_ai.privacy.key_shapes import INNER, SHAPES

SAMPLES = 150
DISGUISES = (None, *corpus.DISGUISES)


def leak(kind: str, disguise: str | None, profile: str = "text") -> float:
    redactor = Redactor("text" if profile == "text" else "machine")
    rng = random.Random(kind)  # noqa: S311 - no secrecy in a test corpus
    samples = [corpus.sample(kind, rng, disguise) for _ in range(SAMPLES)]
    found = ([(start, end) for start, end, _ in redactor.spans(one.text)] for one in samples)
    return sum(corpus.leaked(spans, one) for spans, one in zip(found, samples, strict=True)) / SAMPLES


@pytest.mark.parametrize("disguise", DISGUISES)
@pytest.mark.parametrize("kind", ["email", "card", "iban", "ssn", "ip", "us_phone", "key", "url"])
def test_prose_leaks_nothing_of_what_has_a_structure(kind: str, disguise: str | None) -> None:
    assert leak(kind, disguise) == 0


@pytest.mark.parametrize("disguise", DISGUISES)
def test_prose_leaks_at_most_five_percent_of_the_phones_of_all_countries(disguise: str | None) -> None:
    """What is left are subscriber numbers of four to six digits, which look like any other number."""
    assert leak("phone", disguise) <= 0.05


@pytest.mark.parametrize("kind", ["email", "key", "url"])
def test_logs_leak_nothing_that_proves_what_it_is(kind: str) -> None:
    assert leak(kind, None, "machine") == 0


@pytest.mark.parametrize(
    "shape", [shape for shape in SHAPES if shape.prefix not in INNER], ids=lambda shape: shape.prefix
)
def test_a_key_of_each_published_shape_goes_from_prose_and_from_logs(
    shape: tuple[str, str, str, int],
) -> None:
    rng = random.Random(shape[1])  # noqa: S311 - as above
    letters = [
        char for char in "0123456789abcdefABCDEFGHJKLMNPQRSTVWXYZghjkmnpqrstvwxyz" if _allowed(char, shape[2])
    ]
    key = shape[1] + "".join(rng.choice(letters) for _ in range(max(shape[3], 20)))
    for text in (f"it was {key}, sorry", f'{{"value":"{key}"}}', key):
        assert key not in redact(text)
        assert shape[1] not in redact_log(text).replace("<KEY>", "") or key[
            len(shape[1]) :
        ] not in redact_log(text)


def _allowed(char: str, alphabet: str) -> bool:
    import re

    return re.fullmatch(f"[{alphabet}]", char) is not None


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Her passport no. is X1234567 and", "X1234567"),
        ("Driver's License: LOUMA.657200.9.504", "LOUMA.657200.9.504"),
        ("ID card: KB90324ER", "KB90324ER"),
        ("Date of Birth: 05/15/1980", "05/15/1980"),
        ("she was born on 3rd May 1961 in Oslo", "3rd May 1961"),
        ("DOB 1990-02-28", "1990-02-28"),
        ("Password: q4R\\x", "q4R\\x"),
        ("my password for the portal is hunter2!", "hunter2"),
        ("username: foo.bar99", "foo.bar99"),
        ("PIN is 9876", "9876"),
        ("CVV: 123", "123"),
        ("SWIFT: NWBKGB2L", "NWBKGB2L"),
        ("account number 954567876544", "954567876544"),
        ("VIN 1HGCM82633A004352", "1HGCM82633A004352"),
        ("IMEI: 06-184755-866851-3", "06-184755-866851-3"),
        ("national insurance AB123456C", "AB123456C"),
        ("codice fiscale RSSMRA85T10A562S", "RSSMRA85T10A562S"),
        ("mac 00:1A:2B:3C:4D:5E", "00:1A:2B:3C:4D:5E"),
        ("from 2001:db8::ff00:42:8329", "2001:db8::ff00:42:8329"),
        ("pay 0x52908400098527886E0F7030069857D2E4169EE7", "0x52908400098527886E0F7030069857D2E4169EE7"),
        ("wallet 16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ", "16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ"),
        ("at 51.5074, -0.1278", "51.5074, -0.1278"),
        ("write to john (at) example dot com", "john (at) example dot com"),
        ("payment of 644693204822782691 received", "644693204822782691"),
        ("call +543 51-082.8035 now", "+543 51-082.8035"),
        ("secret AKIA2E0A8F3B244C9986 here", "AKIA2E0A8F3B244C9986"),
        ("<AKIA2E0A8F3B244C9986>", "AKIA2E0A8F3B244C9986"),
        ("key wJalrXUtnFEMI/K7MDENG/bPxRfiCYzQ8mT2aLw9 end", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzQ8mT2aLw9"),
    ],
)
def test_prose_loses_identifiers_that_only_their_context_gives_away(text: str, gone: str) -> None:
    assert gone not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "between 2019-2024 we grew by 3.14159265 percent",
        "on 2024-01-15 at 10:30:00, and again on 15/01/2024",
        "1,234,567 users paid $1234567.89",
        "the meeting is 10.30-11.45 in room 12",
        "version 1.22.333 has 12345 lines and 1 234 567 bytes",
        "my password is not working",
        "The author holds max_tokens=4096, token_type=bearer, session_count=12",
    ],
)
def test_prose_keeps_dates_amounts_versions_and_sentences(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("password=hunter2", "hunter2"),
        ('{"client_secret": "a b c"}', "a b c"),
        ("x-api-key: abcd1234", "abcd1234"),
        ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("Set-Cookie: sid=1; theme=dark", "theme=dark"),
        ('"{\\"password\\": \\"hunter2\\"}"', "hunter2"),
        ("curl --token abc123 https://x", "abc123"),
        ("GET /x?sig=ab12cd34ef&page=2", "ab12cd34ef"),
        ("https://b.s3.amazonaws.com/k?X-Amz-Signature=fe5f80f77d5fa3be", "fe5f80f77d5fa3be"),
        ("<password>hunter2</password>", "hunter2"),
        ("postgres://svc:p@ss/w0rd@db:5432/app", "p@ss/w0rd"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc\n-----END RSA PRIVATE KEY-----", "MIIEow"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEow cut off", "MIIEow"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "eyJzdWIiOiIxIn0"),
        ("card 4111111111111111 used", "4111111111111111"),
        ("card 4111-1111-1111-1111 used", "4111-1111-1111-1111"),
        ("ssn 078-05-1120", "078-05-1120"),
        ("to DE89370400440532013000", "DE89370400440532013000"),
        ("to DE89 3704 0044 0532 0130 00.", "DE89 3704 0044 0532 0130 00"),
        ("sms to +14155552671 failed", "+14155552671"),
        ("phone=4155552671", "4155552671"),
        ("user=ann@example.com", "ann@example.com"),
        ("sent Bearer abcdef1234567890 to it", "abcdef1234567890"),
        ('Authorization: Digest username="bob", response="6629fae4"', "6629fae4"),
        ("pw: hunter2", "hunter2"),
        ("pass: q4R!", "q4R!"),
        ("Tel. 0049-30-123456", "0049-30-123456"),
        ("cc#4111111111111111", "4111111111111111"),
        ("Server=db;User Id=sa;Password=Pa55w0rd!;", "Pa55w0rd!"),
        ("https://api?key=abcd1234efgh5678", "abcd1234efgh5678"),
        ('api_key = "zz" # old', "zz"),
        ("password:\t'multi word value', x=1", "multi word value"),
    ],
)
def test_logs_lose_secrets_and_proven_identifiers(text: str, gone: str) -> None:
    assert gone not in redact_log(text)


LOG_LINES = (
    "2024-01-15T10:30:00.123456789Z INFO req=3f2504e0-4f89-11d3-9a0c-0305e82c3301 took=1234567ms bytes=1234567890",
    "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7 ip=10.0.0.1:8080 order=12345678",
    "Failed password for root from 112.95.230.3 port 45378 ssh2",
    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=218.188.2.4",
    "Kind: YARN_AM_RM_TOKEN, Service: , Ident: (appAttemptId { id: 1 cluster_timestamp: 1445062781478 } keyId: 47)",
    "app wtoken = AppWindowToken{9f4ef63 token=Token{a64f992 ActivityRecord{de9231d u0 com.tencent}}}, allDrawn= false",
    "blk_-1608999687919862906 terminating, epoch 1445062781478, ns 1700000000123456789",
    "max_tokens=4096 token_type=bearer session_count=12 author: Jane key_id=abc12345 cache_key=a1b2c3d4e5f6",
    "connection from /10.10.34.11:45307 sessionid:0x14ed93111f20027 timeout:10000",
    "Started user@1000.service; getty@tty1.service; sprite@2x.png; react@18.2.0",
    "digest sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 commit 9f86d081884c7d659a2f",
    "0xdeadbeefcafebabe free(): 0x7fb5c4d3f2a0 +0100 offset=+1234567 serial 0123456789012345",
    "GET /v2/54fadb412c4e40cdbaed9335e4c35a9e/servers?page_token=CAUQAA status: 200 len: 1893 time: 0.2477829",
    "version 2.14.3-rc1+build.20240115 python 3.11.7 eth0 00:1a:2b:3c:4d:5e 2001:db8::1",
    "unexpected token: ')' in expression; session: opened; signature: void foo(int)",
    "    token = client.current_token(request)",
    "time_to_first_token=0.512 prompt_tokens=1873 completion_tokens=412 model=gpt-x-2026-01-15",
)


@pytest.mark.parametrize("line", LOG_LINES)
def test_logs_keep_timestamps_ids_digests_addresses_and_counts(line: str) -> None:
    assert redact_log(line) == line


def test_a_github_token_is_found_inside_a_word_and_in_two_encodings() -> None:
    token = "ghp_16C7e42F292c6912E7710c838347Ae178B4a"
    for text in (f"x{token}y", f"url%3D{token}", token.replace("_", "%255F"), token.replace("_", "\\u005f")):
        assert "16C7e42F292c6912" not in redact_log(text)
