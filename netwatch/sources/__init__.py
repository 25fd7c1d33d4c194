"""Series that somebody else measured."""
