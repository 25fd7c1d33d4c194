"""Tables of past figures that come with netwatch, each with its source in its first lines."""
