"""Measured proofs: how well, how fast and how small. Nothing in netwatch imports from here."""
