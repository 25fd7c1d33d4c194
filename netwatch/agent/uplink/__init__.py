"""Sends batches to the collector over whichever transport works."""
