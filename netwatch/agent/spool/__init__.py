"""Keeps measurements on disk until the collector has acknowledged them."""
