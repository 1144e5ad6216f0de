"""Shows what `wrap` promises with old and new versions of the SDKs it adopts by their hooks.

Run: python scripts/sdk_versions.py [openai==1.109.1 anthropic==0.60.0 ...]

Makes an environment for each below build/sdk_versions, from the package index, and runs check_one_sdk.py in it. Prints a line for each version; the
exit status is 1 if a promise is broken. Without arguments these versions: the oldest that work with the httpx this library needs, and those at
which an SDK changed what the hooks are built on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "sdk_versions"
VERSIONS = (
    "openai==1.55.3", "openai==1.66.0", "openai==1.109.1", "openai==2.0.0", "openai==2.30.0", "openai",
    "anthropic==0.40.0", "anthropic==0.60.0", "anthropic==0.80.0", "anthropic",
    "groq==0.13.0", "groq==0.30.0", "groq",
    "together",
)  # fmt: skip


def environment(what: str) -> Path:
    """The interpreter of an environment with this library and the SDK `what`."""
    home = BUILD / what.replace("==", "-")
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "-e", ROOT, what], check=True
    )  # fmt: skip
    return python


def main() -> int:
    """Checks the versions named, or all."""
    broken = 0
    for what in sys.argv[1:] or VERSIONS:
        try:
            python = environment(what)
        except subprocess.CalledProcessError:
            print(f"{what:20} cannot be had")
            broken += 1
            continue
        name = what.partition("==")[0]
        done = subprocess.run(
            [python, ROOT / "scripts" / "check_one_sdk.py", name], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"{what:20} {done.stderr.strip().splitlines()[-1]}")
            broken += 1
            continue
        said = json.loads(done.stdout)
        wrong = {promise: how for promise, how in said["promises"].items() if how != "kept"}
        print(
            f"{name:10} {said['version']:10} {len(said['promises']) - len(wrong)} of {len(said['promises'])} promises kept"
        )
        for promise, how in wrong.items():
            print(f"    {promise}: {how}")
        broken += bool(wrong)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
