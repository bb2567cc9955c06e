"""Logging: JSON lines on stderr, one object an event (python-json-logger)."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter


def log_json(level: int = logging.INFO) -> None:
    """Sends every logger of the process to stderr. Libraries that would log requests stay at WARNING."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "%(message)s %(levelname)s %(name)s", timestamp=True, rename_fields={"levelname": "level", "name": "logger"}
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("msal", "urllib3", "aiohttp", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
