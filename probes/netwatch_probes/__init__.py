"""The probes that come with netwatch, one file each."""
