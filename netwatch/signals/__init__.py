"""From measurements to counts."""
