"""The only impure layer: one orchestrator, driven by asyncio or by a trampoline that blocks."""
