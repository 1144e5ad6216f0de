"""The record of calls that auditors read: who answered what kind of request, when, at what cost, under which policy.

One JSON object a line, only ever appended, each line sealed together with the one before it, so that `verify` names the first
line that was changed, removed or put in. No prompt and no answer stands in it: their size does, and with a key their fingerprint.

`options` says what is kept, `record` what a line holds, `seal` how lines are bound together, `file` how they reach the disk,
`trail` watches calls, and `verify` reads it all back.
"""
