"""From the record to posts that go out once."""
