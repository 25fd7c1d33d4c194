"""Built-in channels, one class each."""
