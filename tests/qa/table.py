"""The QA table: what is broken, and what a vantage must make of it."""

from qa import table_agent, table_line, table_servers

__all__ = ["CASES"]

CASES = [*table_servers.CASES, *table_line.CASES, *table_agent.CASES]
