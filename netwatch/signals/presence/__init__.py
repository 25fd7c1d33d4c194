"""Agents that come and go: a log of sessions, and a test for mass disconnects."""
