"""Logging: JSON lines on stderr, one object an event (python-json-logger)."""

import logging
import sys
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonEncoder, JsonFormatter

NAMES = {"levelname": "level", "name": "logger"}
FACTS = "facts"
ENCODER = JsonEncoder()
EVENT = logging.LogRecord("", logging.INFO, "", 0, "", None, None).__dict__


class Lines(JsonFormatter):
    """Of what comes with `log_facts` each line is made in one go: there is one for every call. worker: its number is in each,
    where there are several."""

    def __init__(self, *given: Any, worker: int | None = None, **more: Any) -> None:
        self._worker = {} if worker is None else {"worker": worker}
        super().__init__(*given, static_fields=self._worker, **more)

    def format(self, record: logging.LogRecord) -> str:
        facts = record.__dict__.get(FACTS)
        if facts is None:
            return super().format(record)
        head = {"message": record.msg, "level": record.levelname, "logger": record.name, **self._worker}
        return ENCODER.encode({**head, **facts, "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat()})


def formatter(worker: int | None = None) -> logging.Formatter:
    """An event as one JSON line."""
    return Lines("%(message)s %(levelname)s %(name)s", timestamp=True, rename_fields=NAMES, worker=worker)


def log_facts(log: logging.Logger, message: str, facts: Mapping[str, object]) -> None:
    """An event, of which the line has these facts and nothing else beside logger, level and time."""
    if log.isEnabledFor(logging.INFO):  # `info` would look for who calls it
        event, now = object.__new__(logging.LogRecord), time.time()  # the constructor looks for what no line has
        event.__dict__.update(EVENT, name=log.name, msg=message, created=now, msecs=now % 1 * 1000, facts=facts)
        log.handle(event)


def log_json(level: int = logging.INFO, worker: int | None = None) -> None:
    """Sends every logger of the process to stderr. worker: the process's number, where there are several. See also `quiet`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(worker))
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # no line has them
    logging.basicConfig(level=level, handlers=[handler], force=True)
    quiet()


def quiet() -> None:
    """Keeps what Graph and Entra sent out of the log: urllib3 warns with parts of answers, msal logs whole ones as errors.

    All that matters of it comes to the gateway as exceptions.
    """
    for name in ("msal", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in ("aiohttp", "alembic", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


def log_bug(log: logging.Logger, exc: BaseException, **where: object) -> None:
    """Tells of an exception that nobody foresaw, where nobody else would."""
    log.error("bug", extra={**where, "trace": trace_of(exc)})


def trace_of(exc: BaseException | None) -> list[str]:
    """Types and places of an exception and its causes, without their texts: those may hold what Graph or Entra sent."""
    lines: list[str] = []
    while exc is not None:
        lines += [type(exc).__name__, *(f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(exc.__traceback__))]
        exc = exc.__cause__ or exc.__context__
    return lines
