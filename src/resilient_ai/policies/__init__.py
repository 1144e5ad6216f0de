"""One module a policy: its options (a frozen dataclass), its shared state, its pure decisions.

Every policy reads time and chance from its arguments. State that several threads share is guarded by a short lock that is never
held across user code, an await, a log line or a listener.
"""
