"""Decides what is probed and when, runs probes and retests failures."""
