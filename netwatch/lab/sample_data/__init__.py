"""Figures of past shutdowns that ship with the package."""
