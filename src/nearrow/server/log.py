"""Log: what does a server write about itself? One JSON object a line, for programs to read."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import Any, TextIO


class JsonFormatter(logging.Formatter):
    """time, level, logger, event; then the fields of the record."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, Any] = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def log_as_json(level: int = logging.INFO, stream: TextIO | None = None) -> None:
    """From now on, what Nearrow logs goes to standard error (or `stream`), a JSON object a line."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger("nearrow")
    root.handlers = [handler]
    root.setLevel(level)
    root.propagate = False
