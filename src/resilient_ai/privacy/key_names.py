"""Tells from the name of a field whether its value is secret.

Names are compared token by token, never by substring: `author` is not `auth`, `max_tokens` is not `token`,
and `monkey` holds no key.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from typing import Final

_TOKEN: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^\W\d_]+")
# A name longer than this is not a name: only its end, which says what it is, is judged.
_LONGEST_NAME: Final = 128


class Secrecy(Enum):
    """What a field's name says about its value."""

    OPEN = "open"
    """Nothing."""
    LIKELY = "likely"
    """Secret if it looks like one: `token: Kind` is prose, `token: 9f8a7c61b2` is not."""
    CERTAIN = "certain"
    """Secret whatever it looks like."""


_CERTAIN_TOKENS: Final = frozenset(
    {
        "password", "passwords", "passwd", "pwd", "pw", "passphrase", "passcode", "passw", "userpass", "kennwort",
        "passwort", "contrasena", "motdepasse", "secret", "secrets", "credential", "credentials", "creds", "cred",
        "apikey", "apikeys", "apitoken", "accesskey", "secretkey", "privatekey", "authkey", "signingkey",
        "encryptionkey", "masterkey", "sharedkey", "clientsecret", "appsecret", "authtoken", "accesstoken",
        "refreshtoken", "idtoken", "bearertoken", "sessiontoken", "sastoken", "authorization",
        "proxyauthorization", "xapikey", "cookie", "cookies", "setcookie", "jsessionid", "phpsessid",
        "otp", "totp", "cvv", "cvv2", "cvc", "cvc2", "ssn", "passkey", "keystorepass", "dbpass",
        "mypass", "sshpass", "pgpassword", "mysqlpwd", "dsn", "connectionstring", "connstr", "webhookurl",
    }
)  # fmt: skip
_LIKELY_TOKENS: Final = frozenset(
    {
        "token", "auth", "bearer", "jwt", "session", "sid", "signature", "sig", "sas", "pass", "pin", "hmac",
        "nonce",
    }
)  # fmt: skip

# What makes a following (or preceding) `key` a secret one.
_KEY_QUALIFIERS: Final = frozenset(
    {
        "api", "access", "private", "secret", "encryption", "encrypt", "decryption", "signing", "sign", "master",
        "account", "shared", "subscription", "service", "ssh", "license", "licence", "storage", "auth", "deploy",
        "admin", "app", "application", "client", "consumer", "symmetric", "aes", "rsa", "hmac", "jwt", "session",
        "user", "ingest", "write", "webhook", "openai", "anthropic", "azure", "google", "gemini", "mistral",
        "cohere", "groq", "aws", "gcp", "stripe", "twilio", "sendgrid", "hf", "huggingface", "function", "host",
        "data", "goog",
    }
)  # fmt: skip
# Personal identifiers of which the number itself is the secret.
_PERSONAL: Final = (
    ("card", "number"), ("card", "no"), ("credit", "card"), ("cc", "number"), ("social", "security"),
    ("account", "number"), ("iban",), ("routing", "number"), ("passport",), ("passport", "number"),
    ("driver", "license"), ("drivers", "license"), ("driving", "licence"), ("license", "number"),
    ("tax", "id"), ("national", "id"), ("date", "of", "birth"), ("dob",), ("birth", "date"), ("birthdate",),
    ("security", "code"), ("pin", "code"),
)  # fmt: skip
_CERTAIN_PAIRS: Final = (("connect", "sid"), ("connection", "string"), ("set", "cookie"))

# A name with one of these says something about a secret, not the secret.
_ABOUT: Final = frozenset(
    {
        "count", "counts", "type", "types", "name", "names", "length", "len", "size", "limit", "limits", "max",
        "min", "num", "total", "usage", "used", "budget", "remaining", "expires", "expiry", "expiration", "ttl",
        "created", "updated", "at", "url", "uri", "endpoint", "path", "file", "filename", "policy", "version",
        "format", "algorithm", "alg", "enabled", "required", "present", "valid", "status", "index", "rate", "per",
        "estimated", "prompt", "completion", "page", "cursor", "continuation", "cached", "reasoning", "input", "output", "field", "fields",
        "column", "label", "hint", "rotation", "age", "days", "seconds", "method", "scheme", "mode", "kind",
        "first", "next", "last", "eos", "bos", "pad", "unk", "stop", "special", "time", "env", "provider",
        "manager", "class", "state", "event", "error", "errors", "failed", "ok", "missing", "reset", "strategy",
        "attempts", "header", "prefix",
    }
)  # fmt: skip
_TOKENS_ARE_SECRET_IF: Final = frozenset(
    {
        "access", "auth", "refresh", "api", "bearer", "session", "id", "csrf",
    }
)  # fmt: skip


@lru_cache(maxsize=4096)
def tokens(name: str) -> tuple[str, ...]:
    """Return the lower-case words of `name`, split at punctuation, digits and changes of case."""
    return tuple(token.lower() for token in _TOKEN.findall(name[-_LONGEST_NAME:]))


@lru_cache(maxsize=4096)
def secrecy(name: str) -> Secrecy:
    """Return what `name`, in any of the usual spellings, says about its value."""
    words = tokens(name)
    if len(words) == 0:
        return Secrecy.OPEN
    last = words[-1]
    present = frozenset(words)
    if present & _ABOUT and not _ends_secret(words):
        return Secrecy.OPEN
    pairs = set(pairwise(words))
    joined = "".join(words)
    if (
        present & _CERTAIN_TOKENS
        or joined in _CERTAIN_TOKENS
        or any(first in _KEY_QUALIFIERS and second in {"key", "keys"} for first, second in pairs)
        or any(pair in pairs for pair in _CERTAIN_PAIRS)
        or ("token" in present and len(words) > 1 and last == "token")
        or (last == "tokens" and present & _TOKENS_ARE_SECRET_IF)
        or (len(words) > 1 and last == "pass")
        or _personal(words)
    ):
        return Secrecy.CERTAIN
    if "sessionid" in joined or "sessid" in joined:
        return Secrecy.LIKELY
    # `key_id` and `token_id` name a secret without being one.
    if last in {"id", "ids"}:
        return Secrecy.OPEN
    return (
        Secrecy.LIKELY if last in _LIKELY_TOKENS or next(iter(words)) in {"bearer", "jwt"} else Secrecy.OPEN
    )


def _ends_secret(words: tuple[str, ...]) -> bool:
    """Report whether the last word decides: `reset_password` and `prompt_api_key` are secret all the same."""
    return words[-1] in _CERTAIN_TOKENS or (
        len(words) > 1
        and words[-1] in {"key", "token"}
        and words[-2] in (_KEY_QUALIFIERS | _TOKENS_ARE_SECRET_IF)
    )


def _personal(words: tuple[str, ...]) -> bool:
    return any(words[i : i + len(phrase)] == phrase for phrase in _PERSONAL for i in range(len(words)))


def is_sensitive(name: str) -> bool:
    """Report whether a field called `name` is to be redacted with all that is nested below it."""
    return secrecy(name) is not Secrecy.OPEN
