"""The composition root: builds what the configuration names, and reads the clock."""
