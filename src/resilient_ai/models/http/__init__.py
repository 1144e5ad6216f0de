"""The one place that knows the HTTP client.

Behind `Transport` stands httpcore, the engine of httpx (or httpcore2, that of httpx2, where it is installed: the same interface, cheaper),
with network backends of our own: the blocking one clamps every socket operation to the time the attempt has left, the asynchronous
one speaks to asyncio directly. What an httpx client would add on top (cookies, redirects, authentication flows, URL merging) is
work this library must not do: a redirect would carry the prompt to another origin. A client of the caller's own is used as it is.

Seam: method, path, headers, body and a `Scope` in; status, headers and byte chunks out.
"""

from resilient_ai.models.http.connect import prepare
from resilient_ai.models.http.quotations import without_wire_bytes
from resilient_ai.models.http.transport import Exchange, Response, Transport

__all__ = ["Exchange", "Response", "Transport", "prepare", "without_wire_bytes"]
