"""The loop that turns closed bins into levels, incidents and posts."""
