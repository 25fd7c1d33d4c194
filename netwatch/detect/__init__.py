"""Detection: ordinary levels of series, and the probability of a loss."""
