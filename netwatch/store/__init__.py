"""Where counts and levels are kept: one seam, several engines."""
