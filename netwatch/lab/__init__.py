"""Shutdowns on demand: past figures, and a live one on loopback."""
