"""What attacks run in: the observatory, honest agents, the checks and the table."""
