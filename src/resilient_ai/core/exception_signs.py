"""What each class of exception means, by its name. A table, and the little that a table cannot say.

A class is known by the names in its method resolution order, so that `httpx` and its forks, two generations of an SDK, and an
application's own subclass read alike, and nothing is imported to recognise it.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, final

from resilient_ai.core.failure import FailureKind


@final
@dataclass(frozen=True, slots=True)
class Sign:
    """What a class of exception means.

    Attributes:
        kind: The kind of failure.
        reason: Why, for `explain_failure`. Never text of the exception.
        retry: Overrides what the kind allows, or None.
        sent: Whether the request reached the provider, or None if the class does not tell.
        generic: A cause further down may say more, and then counts.
        decides: Counts even where a status stands beside it.
    """

    kind: FailureKind
    reason: str
    retry: bool | None = None
    sent: bool | None = None
    generic: bool = False
    decides: bool = False


_Kind = FailureKind
NOT_SENT: Final = Sign(_Kind.CONNECTION, "no connection was made", sent=False)
BROKEN: Final = Sign(_Kind.CONNECTION, "the connection broke")
_BROKEN_GENERIC: Final = Sign(_Kind.CONNECTION, "a transport error", generic=True)
_CONNECT_TIMEOUT: Final = Sign(_Kind.TIMEOUT, "no connection in time", sent=False)
_READ_TIMEOUT: Final = Sign(_Kind.TIMEOUT, "no answer in time", sent=True)
_TIMEOUT: Final = Sign(_Kind.TIMEOUT, "a clock ran out")
_TIMEOUT_GENERIC: Final = Sign(_Kind.TIMEOUT, "a clock ran out", generic=True)
UNTRUSTED: Final = Sign(
    _Kind.CONNECTION, "the certificate is not trusted: never asked again", retry=False, sent=False
)
_TLS: Final = Sign(
    _Kind.CONNECTION,
    "TLS does not work with this server: never asked again",
    retry=False,
    sent=False,
    generic=True,
)
_UNREADABLE: Final = Sign(_Kind.SERVER_ERROR, "the answer cannot be read", sent=True)
UNREADABLE_ANYWAY: Final = Sign(
    _Kind.SERVER_ERROR, "the answer does not have the promised shape", sent=True, generic=True
)
_POOL: Final = Sign(_Kind.LOCAL, "no free connection in the local pool", sent=False)
_OURS: Final = Sign(_Kind.LOCAL, "a fault of this process", sent=False)
_BAD_CALL: Final = Sign(_Kind.BAD_REQUEST, "the client library refused the request", sent=False)
_NO_KEY: Final = Sign(_Kind.AUTHENTICATION, "no usable credentials", sent=False)
_CUT_SHORT: Final = Sign(
    _Kind.INVALID_OUTPUT, "the answer was cut at its length limit", sent=True, decides=True
)
_FILTERED: Final = Sign(_Kind.CONTENT_FILTERED, "the provider filtered the content", sent=True, decides=True)
_TOO_LARGE: Final = Sign(_Kind.CONTEXT_OVERFLOW, "the request is larger than the context", decides=True)
_REDIRECTED: Final = Sign(
    _Kind.SERVER_ERROR,
    "a redirect is not followed: it would carry the prompt elsewhere",
    retry=False,
    sent=True,
)

SIGNS: Final[Mapping[str, Sign]] = {
    # httpx, httpx2, httpcore, httpcore2
    "ConnectError": NOT_SENT,
    "ConnectTimeout": _CONNECT_TIMEOUT,
    "ReadTimeout": _READ_TIMEOUT,
    "WriteTimeout": _TIMEOUT,
    "PoolTimeout": Sign(_Kind.LOCAL, "no free connection in the local pool", sent=False, decides=True),
    "ConnectionNotAvailable": _POOL,
    "TimeoutException": _TIMEOUT_GENERIC,
    "ReadError": BROKEN,
    "WriteError": BROKEN,
    "CloseError": BROKEN,
    "NetworkError": _BROKEN_GENERIC,
    "RemoteProtocolError": BROKEN,
    "LocalProtocolError": _OURS,
    "ProxyError": Sign(_Kind.CONNECTION, "the proxy refused the connection", sent=False),
    "UnsupportedProtocol": _OURS,
    "InvalidURL": _OURS,
    "CookieConflict": _OURS,
    "DecodingError": _UNREADABLE,
    "TooManyRedirects": _REDIRECTED,
    "StreamClosed": _BROKEN_GENERIC,
    "ResponseNotRead": _OURS,
    "RequestNotRead": _OURS,
    "StreamConsumed": _OURS,
    "TransportError": _BROKEN_GENERIC,
    # requests, urllib3, http.client
    "ReadTimeoutError": _READ_TIMEOUT,
    "ConnectTimeoutError": _CONNECT_TIMEOUT,
    "Timeout": _TIMEOUT_GENERIC,
    "NewConnectionError": NOT_SENT,
    "NameResolutionError": Sign(_Kind.CONNECTION, "the name does not resolve", sent=False),
    "ProtocolError": _BROKEN_GENERIC,
    "MaxRetryError": _BROKEN_GENERIC,
    "EmptyPoolError": _POOL,
    "FullPoolError": _POOL,
    "ChunkedEncodingError": BROKEN,
    "IncompleteRead": BROKEN,
    "InvalidChunkLength": BROKEN,
    "RemoteDisconnected": BROKEN,
    "BadStatusLine": BROKEN,
    "ContentDecodingError": _UNREADABLE,
    "DecodeError": _UNREADABLE,
    "SSLError": _TLS,
    "MissingSchema": _OURS,
    "InvalidSchema": _OURS,
    "InvalidHeader": _OURS,
    "LocationParseError": _OURS,
    # aiohttp
    "ClientConnectorCertificateError": UNTRUSTED,
    "ClientConnectorSSLError": _TLS,
    "ClientConnectorDNSError": Sign(_Kind.CONNECTION, "the name does not resolve", sent=False),
    "ClientProxyConnectionError": Sign(_Kind.CONNECTION, "the proxy refused the connection", sent=False),
    "ClientConnectorError": NOT_SENT,
    "ConnectionTimeoutError": _CONNECT_TIMEOUT,
    "SocketTimeoutError": _READ_TIMEOUT,
    "ServerTimeoutError": _TIMEOUT,
    "ServerDisconnectedError": BROKEN,
    "ServerConnectionError": BROKEN,
    "ClientOSError": _BROKEN_GENERIC,
    "ClientPayloadError": BROKEN,
    "ClientConnectionError": _BROKEN_GENERIC,
    "ClientConnectionResetError": BROKEN,
    "ContentTypeError": UNREADABLE_ANYWAY,
    # h11, h2, anyio, websockets, asyncio streams
    "StreamReset": BROKEN,
    "ConnectionTerminated": BROKEN,
    "BrokenResourceError": BROKEN,
    "EndOfStream": BROKEN,
    "IncompleteReadError": _BROKEN_GENERIC,
    "ConnectionClosed": BROKEN,
    "WebSocketConnectionClosedError": BROKEN,
    # the standard library
    "SSLCertVerificationError": UNTRUSTED,
    "SSLEOFError": BROKEN,
    "SSLZeroReturnError": BROKEN,
    "SSLSyscallError": BROKEN,
    "ConnectionRefusedError": Sign(_Kind.CONNECTION, "the connection was refused", sent=False),
    "ConnectionError": _BROKEN_GENERIC,
    "gaierror": Sign(_Kind.CONNECTION, "the name does not resolve", sent=False),
    "herror": Sign(_Kind.CONNECTION, "the name does not resolve", sent=False),
    "URLError": _BROKEN_GENERIC,
    "TimeoutError": _TIMEOUT,
    "CancelledError": Sign(_Kind.CANCELLED, "cancelled"),
    "JSONDecodeError": _UNREADABLE,
    "UnicodeDecodeError": _UNREADABLE,
    "MemoryError": Sign(_Kind.LOCAL, "out of memory here"),
    "RecursionError": _OURS,
    "ImportError": _OURS,
    "NameError": _OURS,
    "NotImplementedError": _OURS,
    # pydantic: an answer that does not fit its model
    "ValidationError": Sign(_Kind.INVALID_OUTPUT, "the answer does not fit the model it was parsed into"),
    # SDKs
    "APITimeoutError": _TIMEOUT_GENERIC,
    "APIConnectionError": _BROKEN_GENERIC,
    "APIResponseValidationError": UNREADABLE_ANYWAY,
    "ResponseValidationError": UNREADABLE_ANYWAY,
    "UnknownApiResponseError": UNREADABLE_ANYWAY,
    "NoResponseError": _BROKEN_GENERIC,
    "RetryableError": _BROKEN_GENERIC,
    "LengthFinishReasonError": _CUT_SHORT,
    "ContentFilterFinishReasonError": _FILTERED,
    "ContentPolicyViolationError": _FILTERED,
    "ContextWindowExceededError": _TOO_LARGE,
    "BudgetExceededError": Sign(_Kind.QUOTA_EXHAUSTED, "a local budget is spent", sent=False, decides=True),
    "CredentialsError": _NO_KEY,
    "EndpointConnectionError": NOT_SENT,
    "ConnectionClosedError": BROKEN,
    "HTTPClientError": _BROKEN_GENERIC,
    "ProxyConnectionError": NOT_SENT,
    "ResponseStreamingError": BROKEN,
    "NoCredentialsError": _NO_KEY,
    "PartialCredentialsError": _NO_KEY,
    "CredentialRetrievalError": _NO_KEY,
    "TokenRetrievalError": _NO_KEY,
    "UnauthorizedSSOTokenError": _NO_KEY,
    "ParamValidationError": _BAD_CALL,
    "DefaultCredentialsError": _NO_KEY,
    "RefreshError": _NO_KEY,
    "ClientAuthenticationError": _NO_KEY,
    "ServiceRequestTimeoutError": _CONNECT_TIMEOUT,
    "ServiceResponseTimeoutError": _READ_TIMEOUT,
    "ServiceRequestError": NOT_SENT,
    "ServiceResponseError": _BROKEN_GENERIC,
    "InferenceTimeoutError": _TIMEOUT_GENERIC,
    # the status classes of SDKs, for exceptions that lost their response on the way
    "AuthenticationError": Sign(_Kind.AUTHENTICATION, "named so by its class", generic=True),
    "PermissionDeniedError": Sign(_Kind.AUTHENTICATION, "named so by its class", generic=True),
    "RateLimitError": Sign(_Kind.RATE_LIMITED, "named so by its class", generic=True),
    "TooManyRequestsError": Sign(_Kind.RATE_LIMITED, "named so by its class", generic=True),
    "OverloadedError": Sign(_Kind.OVERLOADED, "named so by its class", generic=True),
    "ServiceUnavailableError": Sign(_Kind.OVERLOADED, "named so by its class", generic=True),
    "InternalServerError": Sign(_Kind.SERVER_ERROR, "named so by its class", generic=True),
    "BadRequestError": Sign(_Kind.BAD_REQUEST, "named so by its class", generic=True),
    "UnprocessableEntityError": Sign(_Kind.BAD_REQUEST, "named so by its class", generic=True),
    "PaymentRequiredError": Sign(_Kind.QUOTA_EXHAUSTED, "named so by its class", generic=True),
}
"""By class name, the most derived class first."""

_UNREACHABLE: Final = frozenset(
    {
        errno.ECONNREFUSED,
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.EADDRNOTAVAIL,
        errno.EADDRINUSE,
        # Descriptors run out here, but what fails is a connection, and the next moment may have one free.
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
    }
)
_DROPPED: Final = frozenset(
    {
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.EPIPE,
        errno.ENOTCONN,
        errno.ESHUTDOWN,
        errno.ENETRESET,
        errno.EPROTO,
    }
)
_LOCAL_ERRNOS: Final = frozenset(
    {
        errno.ENOENT,
        errno.EACCES,
        errno.EPERM,
        errno.ENOSPC,
        errno.EROFS,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.EBADF,
        errno.ENOMEM,
    }
)
_TRANSIENT_TLS: Final = frozenset(
    {
        "UNEXPECTED_EOF_WHILE_READING",
        "DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
        "SSLV3_ALERT_BAD_RECORD_MAC",
        "APPLICATION_DATA_AFTER_CLOSE_NOTIFY",
    }
)
_CLOSED_HERE: Final = re.compile(
    r"Cannot (?:send a request|open a client instance)|Event loop is closed|Session is closed|cannot schedule new futures"
    r"|can't start new thread|This event loop is already running"
)
NOT_CONNECTED: Final = re.compile(
    r"All connection attempts failed|failed to connect to all addresses|DNS resolution failed|Multiple exceptions:"
)


def sign_of(link: BaseException) -> Sign | None:
    """What the class of `link` says of it, or None. Never raises."""
    sign = _row(type(link).__mro__)
    if sign is _TLS:
        reason: object = getattr(link, "reason", None)
        if isinstance(reason, str):
            return BROKEN if reason in _TRANSIENT_TLS else sign
        # OpenSSL numbers what it finds wrong; what carries no number was raised by something else, and says nothing of the server.
        return BROKEN if type(link).__module__ == "ssl" and getattr(link, "errno", None) is None else sign
    if isinstance(link, OSError) and (sign is None or sign.generic):
        return _os_sign(link) or sign
    if (
        sign is None
        and isinstance(link, RuntimeError)
        and link.args
        and isinstance(link.args[0], str)
        and _CLOSED_HERE.match(link.args[0])
    ):
        return _OURS
    return sign


def _os_sign(failure: OSError) -> Sign | None:
    number = failure.errno
    if number is None:
        text = failure.args[0] if failure.args else None
        return NOT_SENT if isinstance(text, str) and NOT_CONNECTED.match(text) else None
    if number in _UNREACHABLE:
        return NOT_SENT
    if number in _DROPPED:
        return BROKEN
    if number == errno.ETIMEDOUT:
        return _TIMEOUT
    return _OURS if number in _LOCAL_ERRNOS else None


@lru_cache(maxsize=1024)
def _row(classes: tuple[type, ...]) -> Sign | None:
    """The row of the most derived class that has one."""
    for kind in classes:
        sign = SIGNS.get(kind.__name__)
        if sign is not None:
            return sign
    return None
