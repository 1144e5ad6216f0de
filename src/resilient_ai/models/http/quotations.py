"""What HTTP libraries say about bytes they cannot read, without the bytes.

`illegal header line: bytearray(b'...')` quotes the peer, and a peer may quote the request. Such a text is seen wherever a traceback is.
"""

from __future__ import annotations

import re
from typing import Final

_QUOTED: Final = re.compile(r"""(?:bytearray\()?\b[bB]["'].*""", re.DOTALL)
WITHHELD: Final = "<bytes withheld>"


def without_wire_bytes(error: BaseException | None) -> BaseException | None:
    """`error`, with the quotations cut out of its text and of those it was raised from. The objects stay what they are."""
    one, seen = error, set[int]()
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if type(one).__name__.endswith(("ProtocolError", "InvalidURL")):
            one.args = tuple(_QUOTED.sub(WITHHELD, arg) if isinstance(arg, str) else arg for arg in one.args)
        one = one.__cause__ or one.__context__
    return error
