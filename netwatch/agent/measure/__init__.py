"""Measuring: schedule, admission, probes, retests."""
