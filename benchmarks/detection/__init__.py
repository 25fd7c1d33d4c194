"""The judge of the detector: a synthetic world, rivals in the same harness, and their scores.

`python -m benchmarks.detection.run` is the one command; README.md says how it works.
"""
