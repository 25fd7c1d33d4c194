"""The public website and its JSON API, without JavaScript."""
