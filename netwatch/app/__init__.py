"""The composition root: builds what the configuration names, and reads the clock.

Errors of the parts pass through it as they are; each is a `NetwatchError`.
"""
