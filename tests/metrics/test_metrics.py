"""Metrics: is every call counted once, and are the percentiles those of the calls?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

import nearrow
from nearrow.errors import AlreadyExistsError, ClosedError, InvalidArgumentError
from nearrow.metrics.histogram import FOLD_AT, Histogram
from nearrow.metrics.operations import Operation

VECTORS = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)


def histogram_of(seconds: np.ndarray) -> Histogram:
    histogram = Histogram()
    histogram.pending.extend(seconds.tolist())
    return histogram


@pytest.mark.parametrize("scale", [3e-6, 25e-6, 4e-3, 2.0])
def test_percentiles_are_within_five_percent(scale: float) -> None:
    seconds = scale * np.random.default_rng(1).lognormal(0, 1, 10_000)
    read = histogram_of(seconds).read()
    for percent in (50, 95, 99):
        exact = np.percentile(seconds, percent, method="inverted_cdf")
        assert read.percentile(percent) == pytest.approx(max(exact, 1e-6), rel=0.05)
    assert read.count == 10_000
    assert read.seconds == pytest.approx(seconds.sum())
    assert read.longest == seconds.max()


def test_of_no_calls_nothing_is_said_and_extreme_ones_are_counted() -> None:
    assert Histogram().read().percentile(50) is None
    read = histogram_of(np.array([0.0, 1e9])).read()
    assert read.count == read.buckets.sum() == 2


def test_threads_lose_no_call() -> None:
    operation = Operation("add", {})

    def call(_: int) -> None:
        for _ in range(3 * FOLD_AT):
            operation.ended(perf_counter(), 2)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            operation.latencies.read()  # as a scrape would, in between
        list(pool.map(call, range(8)))
    count = operation.latencies.read().count
    assert (count, operation.rows(count)) == (24 * FOLD_AT, 48 * FOLD_AT)


@pytest.fixture
def docs(tmp_path: Path) -> nearrow.Collection:
    return nearrow.connect(tmp_path / "library").create_collection('a "quoted" name', 4)


def test_every_verb_is_counted_with_its_rows_and_failures(docs: nearrow.Collection) -> None:
    docs.add(ids=range(8), vectors=VECTORS)
    docs.upsert(ids=[7, 8], vectors=VECTORS[:2])
    docs.update([{"id": 1, "n": 1}])
    docs.delete([0, 99])
    docs.get([1, 2, 3])
    docs.sql('SELECT 1 FROM "a ""quoted"" name"')
    with docs.transaction() as transaction:
        transaction.upsert(ids=[20, 21], vectors=VECTORS[:2])
    docs.search(VECTORS[0])
    docs.search(VECTORS)
    with pytest.raises(AlreadyExistsError):
        docs.add(ids=[1], vectors=VECTORS[:1])
    with pytest.raises(InvalidArgumentError):
        docs.search(VECTORS[0], k=0)
    found = docs.stats().operations
    assert {name: (operation.calls, operation.failed, operation.rows) for name, operation in found.items()} == {
        "add": (1, 1, 8),
        "upsert": (1, 0, 2),
        "update": (1, 0, 1),
        "delete": (1, 0, 1),
        "get": (1, 0, 3),
        "sql": (1, 0, 8),
        "transaction": (1, 0, 2),
        "search": (2, 1, 9),
    }
    search = found["search"]
    assert search.p50_ms is not None
    assert search.p99_ms is not None
    assert 0 < search.p50_ms <= search.p99_ms <= search.seconds_max * 1e3 + 1e-6
    assert json.loads(json.dumps(docs.stats().to_dict()))["operations"]["add"]["calls"] == 1


def test_prometheus_reads_the_text(docs: nearrow.Collection) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="pip install prometheus-client to parse the text")
    docs.add(ids=range(8), vectors=VECTORS)
    docs.delete([3])
    for query in VECTORS:
        docs.search(query)
    samples = {
        (sample.name, sample.labels.get("operation"), sample.labels.get("le")): sample.value
        for family in parser.text_string_to_metric_families(nearrow.metrics.prometheus())
        for sample in family.samples
        if sample.labels["collection"] == docs.name and sample.labels["database"].endswith("library")
    }
    assert samples["nearrow_operation_seconds_count", "search", None] == 8
    assert samples["nearrow_operation_seconds_bucket", "search", "+Inf"] == 8
    bounds = [float(le) for name, operation, le in samples if name.endswith("_bucket") and operation == "search" and le]
    buckets = [
        samples["nearrow_operation_seconds_bucket", "search", f"{le:.6g}".replace("inf", "+Inf")] for le in bounds
    ]
    assert bounds == sorted(bounds)
    assert buckets == sorted(buckets)
    assert samples["nearrow_operation_rows_total", "add", None] == 8
    assert samples["nearrow_operation_failures_total", "add", None] == 0
    assert samples["nearrow_rows", None, None] == 7


def test_a_closed_collection_is_shown_no_more_and_two_handles_are_one_series(tmp_path: Path) -> None:
    with nearrow.connect(tmp_path / "twice") as db:
        docs = db.create_collection("docs", 4)
        docs.add(ids=range(8), vectors=VECTORS)
        with nearrow.connect(tmp_path / "twice", read_only=True) as reader:
            reader.collection("docs").search(VECTORS[0])
            docs.search(VECTORS[0])
            labels = f'database="{tmp_path}/twice",collection="docs"'
            lines = nearrow.metrics.prometheus().splitlines()
            counts = [line for line in lines if line.startswith("nearrow_operation_seconds_count{" + labels)]
            assert [line for line in counts if '"search"' in line] == [
                f'nearrow_operation_seconds_count{{{labels},operation="search"}} 2'
            ]
            assert len(lines) == len({line.rpartition(" ")[0] for line in lines})
    assert "twice" not in nearrow.metrics.prometheus()
    with pytest.raises(ClosedError):
        docs.stats()


TRACED = """
import numpy as np, nearrow
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

docs = nearrow.connect(":memory:").create_collection("docs", 4)
docs.add(ids=[1], vectors=np.ones((1, 4), np.float32))  # nobody traces yet
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
with trace.get_tracer("application").start_as_current_span("request"):
    docs.search(np.ones(4, np.float32))
try:
    docs.add(ids=[1], vectors=np.ones((1, 4), np.float32))
except nearrow.AlreadyExistsError:
    print("refused")
for span in exporter.get_finished_spans():
    took, inside = span.end_time > span.start_time, span.parent is not None
    print(span.name, span.status.status_code.name, inside, span.attributes.get("nearrow.collection"), took)
"""


def test_calls_are_spans_of_the_application_that_traces() -> None:
    pytest.importorskip("opentelemetry.sdk", reason="pip install opentelemetry-sdk to see the spans")
    environment = os.environ | {"OTEL_SDK_DISABLED": "false"}
    done = subprocess.run(
        [sys.executable, "-c", TRACED], capture_output=True, text=True, timeout=60, check=True, env=environment
    )
    assert done.stdout.splitlines() == [
        "refused",
        "nearrow.search UNSET True docs True",
        "request UNSET False None True",
        "nearrow.add ERROR False docs True",
    ]
