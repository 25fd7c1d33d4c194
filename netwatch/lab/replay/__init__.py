"""Replays recorded figures through the pipeline into a data folder."""
