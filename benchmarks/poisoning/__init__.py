"""What liars can do to the record: the judge of attribution, trust and late data."""
