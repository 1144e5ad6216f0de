"""`python -m resilient_ai.cli` is the `resilient-ai` command."""

from resilient_ai.cli import main

main()
