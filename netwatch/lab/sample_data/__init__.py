"""Recorded series of past shutdowns that ship with the package."""
