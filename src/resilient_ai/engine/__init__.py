"""The decisions of one logical call, above the policies and below everything that waits or sends. Pure.

`plan` is a chain as built, checked and explained; `call` is the state machine that a runtime drives; `fit` says which model may
take a request; `endings` writes the exception a caller meets.
"""
