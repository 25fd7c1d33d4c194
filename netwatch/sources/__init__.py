"""Readers of series that others measured: files of several formats."""
