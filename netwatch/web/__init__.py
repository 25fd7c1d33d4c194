"""The page that needs no JavaScript."""
