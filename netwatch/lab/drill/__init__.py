"""A live shutdown of a simulated country on loopback, checked against its ground truth."""
