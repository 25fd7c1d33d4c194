"""Which tests need a worker of their own: those with real servers and clocks."""

PROCESSOR_BOUND = {
    "integration/test_backtest_dask.py",
    "integration/test_compose.py",
    "integration/test_dashboards.py",
    "integration/test_data_files.py",
    "integration/test_full_disk.py",
    "integration/test_influx_iran.py",
    "integration/test_kill_roles.py",
    "integration/test_wheel.py",
}
"""Files of integration tests whose results do not depend on how busy the machine is."""
REAL_TIME = {"unit/app/test_http_server.py", "unit/wire/test_broker_limits.py"}
"""Files of unit tests in which hundreds of clients hold connections."""


def is_real_time(path: str) -> bool:
    """Return whether a test file, relative to this folder, needs a worker of its own."""
    is_there = path.startswith(("integration/", "qa/"))
    return path in REAL_TIME or (is_there and path not in PROCESSOR_BOUND)
