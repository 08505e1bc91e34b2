"""Prometheus: what do all open collections of this process have done, as the text that Prometheus scrapes?

Text format 0.0.4. Written here, for it is a page of text; an application may join it to what its own client library gives.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from nearrow.errors import NearrowError
from nearrow.metrics.histogram import FIRST_SECONDS, STEPS, Latencies
from nearrow.metrics.operations import CollectionMetrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUND_DOUBLINGS = 2  # one bound of the exposition for every factor of four

GAUGES = {
    "rows": "Rows that a search sees.",
    "dead_rows": "Rows that wait in segments for a merge.",
    "segments": "Segments.",
    "memtable_rows": "Rows that are not in a segment yet.",
}

_open: weakref.WeakSet[CollectionMetrics] = weakref.WeakSet()
_lock = threading.Lock()


def _forget_the_parents() -> None:
    """A forked child has its own collections to show, and no thread that could hold the lock."""
    global _lock
    _lock = threading.Lock()
    _open.clear()


os.register_at_fork(after_in_child=_forget_the_parents)


def expose(metrics: CollectionMetrics) -> None:
    """Show these from now on."""
    with _lock:
        _open.add(metrics)


def withdraw(metrics: CollectionMetrics) -> None:
    """Show these no longer. Idempotent."""
    with _lock:
        _open.discard(metrics)


def prometheus() -> str:
    """Counters, latency histograms and sizes of every open collection of this process, in Prometheus' text format.

    Serve it with the content type `CONTENT_TYPE`. Histograms have a bound for every factor of four from a microsecond;
    finer percentiles are in `Collection.stats().operations`.
    """
    with _lock:
        shown = sorted(_open, key=lambda metrics: tuple(metrics.labels.values()))
    return "\n".join([*_operation_lines(shown), *_gauge_lines(shown)]) + "\n" if shown else ""


def _operation_lines(shown: list[CollectionMetrics]) -> Iterator[str]:
    # The same collection may be open twice, say as writer and as reader: one series has the calls of both.
    latencies: defaultdict[str, Latencies] = defaultdict(Latencies.none)
    failed: defaultdict[str, int] = defaultdict(int)
    rows: defaultdict[str, int] = defaultdict(int)
    for metrics in shown:
        for name, (measured, failures, concerned) in metrics.read().items():
            labels = _labels({**metrics.labels, "operation": name})
            latencies[labels] += measured
            failed[labels] += failures
            rows[labels] += concerned
    yield from _head("operation_seconds", "histogram", "How long calls that succeeded took.")
    for labels, measured in latencies.items():
        yield from _histogram_lines(labels, measured)
    yield from _head("operation_failures_total", "counter", "Calls that raised.")
    yield from (f"nearrow_operation_failures_total{{{labels}}} {count}" for labels, count in failed.items())
    yield from _head("operation_rows_total", "counter", "Rows written or fetched; queries answered by searches.")
    yield from (f"nearrow_operation_rows_total{{{labels}}} {count}" for labels, count in rows.items())


def _histogram_lines(labels: str, measured: Latencies) -> Iterator[str]:
    upto = np.cumsum(measured.buckets)
    for index in range(0, len(upto) - 1, BOUND_DOUBLINGS * STEPS):
        bound = FIRST_SECONDS * 2.0 ** (index // STEPS)
        yield f'nearrow_operation_seconds_bucket{{{labels},le="{bound:.6g}"}} {upto[index]}'
    yield f'nearrow_operation_seconds_bucket{{{labels},le="+Inf"}} {measured.count}'
    yield f"nearrow_operation_seconds_sum{{{labels}}} {measured.seconds:.9g}"
    yield f"nearrow_operation_seconds_count{{{labels}}} {measured.count}"


def _gauge_lines(shown: list[CollectionMetrics]) -> Iterator[str]:
    values: dict[str, Mapping[str, float]] = {}
    for metrics in shown:
        try:
            values[_labels(metrics.labels)] = metrics.gauges()
        except NearrowError:  # closed, or repaired, at this moment: its counters are shown, its sizes the next time
            continue
    for gauge, meaning in GAUGES.items():
        yield from _head(gauge, "gauge", meaning)
        yield from (f"nearrow_{gauge}{{{labels}}} {found[gauge]:g}" for labels, found in values.items())


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP nearrow_{name} {meaning}"
    yield f"# TYPE nearrow_{name} {kind}"


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
