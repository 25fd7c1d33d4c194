"""The probes that come with netwatch: one file and one question each."""
