"""Asyncio helpers: groups of tasks, a single-thread executor, a token bucket and back-off."""
