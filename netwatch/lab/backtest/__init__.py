"""Runs the detector over a file of series, scores it against known events and draws the result."""
