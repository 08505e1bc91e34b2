"""Measuring: what do the calls of a server add up to, for Prometheus to read?"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import defaultdict

from nearrow.server.gate import Gate, anonymous_bytes

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class CallMetrics:
    """Counts and times of the calls by their name. Thread-safe."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._buckets: dict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self._seconds: dict[str, float] = defaultdict(float)
        self._failed: dict[str, int] = defaultdict(int)

    def observe(self, call: str, seconds: float, failed: bool) -> None:
        with self._mutex:
            self._buckets[call][bisect_left(BUCKETS, seconds)] += 1
            self._seconds[call] += seconds
            self._failed[call] += failed

    def text(self, gate: Gate) -> str:
        """In Prometheus's text format."""
        with self._mutex:
            buckets = {call: list(counts) for call, counts in self._buckets.items()}
            seconds, failed = dict(self._seconds), dict(self._failed)
        lines = [
            "# HELP nearrow_server_call_seconds How long calls took, from their first to their last byte.",
            "# TYPE nearrow_server_call_seconds histogram",
        ]
        for call in sorted(buckets):
            total = 0
            for edge, count in zip((*BUCKETS, "+Inf"), buckets[call], strict=True):
                total += count
                lines.append(f'nearrow_server_call_seconds_bucket{{call="{call}",le="{edge}"}} {total}')
            lines.append(f'nearrow_server_call_seconds_sum{{call="{call}"}} {seconds[call]:.6f}')
            lines.append(f'nearrow_server_call_seconds_count{{call="{call}"}} {total}')
        lines += [
            "# HELP nearrow_server_calls_failed_total Calls that ended with an error.",
            "# TYPE nearrow_server_calls_failed_total counter",
            *(f'nearrow_server_calls_failed_total{{call="{call}"}} {count}' for call, count in sorted(failed.items())),
        ]
        gauges = {
            "calls_open": ("Calls that are open, streams among them.", gate.open),
            "calls_busy": ("Calls that are worked on.", gate.busy),
            "draining": ("1 when the server is about to stop.", int(gate.draining)),
            "memory_anonymous_bytes": ("Memory of the process that is not mapped from files.", anonymous_bytes()),
        }
        for name, (help_text, value) in gauges.items():
            lines += [f"# HELP nearrow_server_{name} {help_text}", f"# TYPE nearrow_server_{name} gauge"]
            lines.append(f"nearrow_server_{name} {value}")
        return "\n".join(lines) + "\n"
