"""What is ordinary, and how far below it a series is."""
