"""Decides whether a vantage, a target or the path between them caused a failure."""
