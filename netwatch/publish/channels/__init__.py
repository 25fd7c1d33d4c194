"""Where posts go: one class a place, found by entry point like a stranger's."""
