"""Connection pools: which engine, which proxy, which certificates."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from resilient_ai.errors import ConfigError

if TYPE_CHECKING:
    import ssl
    from types import ModuleType

KEEPALIVE_CONNECTIONS: Final = 100
KEEPALIVE_SECONDS: Final = 30.0
"""Below the idle timeouts of the large providers' edges (60 s and more), so that they seldom close first."""

_context: ssl.SSLContext | None = None


@cache
def engine() -> ModuleType:
    """httpcore2 where it is installed, else httpcore. Both have the same interface; the former costs a third less a call.

    Looked for once: an import that fails is not remembered by Python, and would be searched for on every call.
    """
    try:
        import httpcore2
    except ImportError:
        import httpcore

        return httpcore
    return httpcore2


def prepare(scheme: str) -> None:
    """Loads what the first request to a server of `scheme` needs.

    When a model is made, and not when it is asked: the imports take up to half a second in which an event loop stands still, and the
    first call to a fallback is made in the middle of an outage.

    Raises:
        ConfigError: The certificates the environment names cannot be read.
    """
    engine()
    import_module("urllib.request")
    with suppress(ImportError):
        import_module("anyio._backends._asyncio")  # the engine's locks load it when they are first held
    if scheme == "https":
        ssl_context()


def ssl_context() -> ssl.SSLContext:
    """The process's TLS context: certifi's roots, or those named by SSL_CERT_FILE or SSL_CERT_DIR. Made once: it takes 20 ms.

    Raises:
        ConfigError: They cannot be read.
    """
    global _context  # noqa: PLW0603 - a lazily built constant
    if _context is None:
        import ssl

        import certifi

        file = os.environ.get("SSL_CERT_FILE")
        folder = os.environ.get("SSL_CERT_DIR")
        if file is None and folder is None:
            file = certifi.where()
        try:
            context = ssl.create_default_context(cafile=file, capath=folder)
        except OSError as error:
            raise ConfigError(
                f"The certificates that servers are checked by cannot be read ({type(error).__name__}: {error.strerror}). "
                "Set SSL_CERT_FILE to a file of them in PEM form, or unset it to use those of the package certifi."
            ) from error
        context.set_alpn_protocols(["http/1.1"])
        _context = context
    return _context


def proxy_for(scheme: str, host: str) -> str | None:
    """The proxy the environment (HTTPS_PROXY, ALL_PROXY, NO_PROXY) or the system names for an origin, or None."""
    from urllib.request import getproxies, proxy_bypass

    if host == "localhost" or host.startswith("127.") or host == "::1":
        return None  # a proxy elsewhere cannot reach this machine's own servers, and must not see what is sent to them
    proxies = getproxies()
    if not proxies or proxy_bypass(host):
        return None
    return proxies.get(scheme) or proxies.get("all")


def make_pool(*, asynchronous: bool, scheme: str, host: str, uds: str | None, backend: object) -> object:
    """A connection pool for one origin.

    Raises:
        ConfigError: The environment names a proxy of a kind that is not supported.
    """
    core = engine()
    options: dict[str, object] = {
        "max_connections": None,
        "max_keepalive_connections": KEEPALIVE_CONNECTIONS,
        "keepalive_expiry": KEEPALIVE_SECONDS,
        "retries": 0,
        "network_backend": backend,
    }
    if scheme == "https":
        options["ssl_context"] = ssl_context()
    if uds is not None:
        return (core.AsyncConnectionPool if asynchronous else core.ConnectionPool)(uds=uds, **options)
    proxy = proxy_for(scheme, host)
    if proxy is None:
        return (core.AsyncConnectionPool if asynchronous else core.ConnectionPool)(**options)
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme not in ("http", "https"):
        raise ConfigError(
            f"The environment names a {parts.scheme} proxy for {host}; only http and https proxies are supported. "
            "Unset it, list the host in NO_PROXY, or pass a client of your own as http_client."
        )
    if parts.username is not None:
        options["proxy_auth"] = (unquote(parts.username), unquote(parts.password or ""))
    port = parts.port or (443 if parts.scheme == "https" else 80)
    address = f"{parts.scheme}://{parts.hostname}:{port}"
    return (core.AsyncHTTPProxy if asynchronous else core.HTTPProxy)(proxy_url=address, **options)
