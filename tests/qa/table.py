"""The QA table: faults, and what a vantage must measure."""

from qa import table_agent, table_line, table_servers

__all__ = ["CASES"]

CASES = [*table_servers.CASES, *table_line.CASES, *table_agent.CASES]
