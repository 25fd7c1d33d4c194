"""Shutdowns on demand: recorded series, and a live shutdown on loopback."""
