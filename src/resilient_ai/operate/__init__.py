"""What an operator needs besides the library: alerts with their tests and runbooks, and a dashboard.

All of it is written from the constants of `telemetry.names`, so that it cannot name a metric or a label that does not exist.
`kit` puts the files together; `resilient-ai alerts` writes them.
"""
