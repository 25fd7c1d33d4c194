"""Formats, topics and transports between agents and collectors."""
