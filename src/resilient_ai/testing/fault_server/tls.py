"""Certificates for faults under TLS.

The certificates and their one private key are published with the library: they are for tests, protect
nothing, and no system may ever trust them outside one. Regenerate them with openssl if they have to change;
the standard library cannot.
"""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path
from typing import Final, Literal, TypeAlias

Certificate: TypeAlias = Literal["loopback", "expired", "wrong_host"]

_FOLDER: Final = Path(__file__).with_name("certificates")


def certificate_path(certificate: Certificate) -> Path:
    """The PEM file of a certificate and its key."""
    return _FOLDER / f"{certificate}.pem"


@cache
def server_context(certificate: Certificate) -> ssl.SSLContext:
    """A server's context with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_path(certificate))
    return context


def trusting_context() -> ssl.SSLContext:
    """A client's context that trusts the fault server's certificate, and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificate_path("loopback"))
    return context
