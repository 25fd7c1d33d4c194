"""The volunteer's side: schedule, run, keep, send."""
