"""How measurements travel: envelopes, topics, and the links that carry them."""
