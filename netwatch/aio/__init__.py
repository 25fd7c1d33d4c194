"""Asyncio helpers: task groups, a single-thread executor, token buckets and back-off."""
