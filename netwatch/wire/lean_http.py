"""The HTTP library, without its command line.

httpx brings a terminal program along where rich and pygments are installed, which they are
for our own command: 5 MB, a tenth of what a vantage may take. Zstandard is left out because
nobody here asks for it.
"""

from netwatch.lean import without

__all__ = ["httpx"]

with without("httpx._main"), without("zstandard"):
    import httpx
