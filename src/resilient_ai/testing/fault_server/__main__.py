"""`python -m resilient_ai.testing.fault_server`: the fault server for anything that takes a base URL."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from typing import Final, cast

from resilient_ai.testing.fault_server.catalogue import ideal_text, markdown_table, plain_list
from resilient_ai.testing.fault_server.dialects import BASE_PATHS, DialectName
from resilient_ai.testing.fault_server.server import FaultServer

_DEFAULT_PORT: Final = 8099


def url_table(server: FaultServer, dialect: DialectName) -> str:
    """Every fault with its base URL, a line each."""
    lines: list[str] = []
    for fault in server.catalogue.values():
        lines += [server.url(fault.spec, dialect=dialect), f"    {fault.description} [{ideal_text(fault)}]"]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until interrupted; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m resilient_ai.testing.fault_server", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=_DEFAULT_PORT, help="port on 127.0.0.1; 0 lets the system choose"
    )
    parser.add_argument(
        "--dialect", choices=sorted(BASE_PATHS), default="openai", help="whose base URLs to print"
    )
    parser.add_argument("--list", action="store_true", help="print the faults and exit")
    parser.add_argument("--markdown", action="store_true", help="print the faults as Markdown and exit")
    options = parser.parse_args(arguments)
    if options.markdown or options.list:
        sys.stdout.write(markdown_table() if options.markdown else plain_list())
        return 0
    try:
        with FaultServer(port=options.port) as server:
            sys.stdout.write(url_table(server, cast("DialectName", options.dialect)))
            sys.stdout.write("\nAppend ~N to a fault to fail N times only. Ctrl-C ends the server.\n")
            sys.stdout.flush()
            threading.Event().wait()
    except (
        KeyboardInterrupt
    ):  # at whatever moment: a reader of the first line may be quicker than the last one is written
        return 0
    except (OSError, OverflowError) as error:
        parser.error(f"port {options.port} cannot be served: {getattr(error, 'strerror', None) or error}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
