"""The nouns, on the standard library alone. Data goes one way through them.

`Measurement -> Bin -> Level -> Episode -> Incident -> Post`
"""
