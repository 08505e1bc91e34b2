"""Measuring: how are times, recall and memory turned into the figures of the table?"""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import distances_to

RECALLS = (0.90, 0.95, 0.99, 0.999)


@dataclass(frozen=True)
class Rate:
    """Queries per second at a recall; `at_least`: the smallest beam passes that recall, so the true rate is higher."""

    qps: float
    at_least: bool = False


def rate_at(points: Sequence[tuple[float, float]], recall: float) -> Rate | None:
    """The rate of a curve of (recall, queries per second) at one recall, None when the curve does not reach it.

    Points that another one beats in both are dropped; between two points log(rate) is taken as linear in recall.
    """
    frontier: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda p: (-p[0], -p[1])):  # from the highest recall down, rates must rise
        if not frontier or point[1] > frontier[-1][1]:
            frontier.append(point)
    reaching = [point for point in frontier if point[0] >= recall]
    if not reaching:
        return None
    high = reaching[-1]
    below = [point for point in frontier if point[0] < recall]
    if high[0] == recall or not below:
        return Rate(high[1], at_least=high[0] > recall)
    low = below[0]
    share = (recall - low[0]) / (high[0] - low[0])
    return Rate(math.exp(math.log(low[1]) + share * (math.log(high[1]) - math.log(low[1]))))


def recall_by_distance(
    found: Sequence[Sequence[int]],
    base: np.ndarray,
    queries: np.ndarray,
    truth_distances: np.ndarray,
    metric: str,
    k: int,
) -> float:
    """Mean share of the k answers that are as near as the true k-th one, so that ties count whichever row is named.

    A row named twice counts once; when fewer than k rows exist (infinite distance), only those are asked for.
    """
    total = 0.0
    for rows, query, distances in zip(found, queries, truth_distances, strict=True):
        wanted = int(np.isfinite(distances[:k]).sum())
        if wanted == 0:
            total += 1.0
            continue
        limit = float(distances[wanted - 1])
        named = np.unique(np.asarray([row for row in rows if row >= 0][:k], np.int64))
        near = distances_to(base, query, named, metric) <= limit + 1e-6 * max(1.0, abs(limit)) if len(named) else named
        total += min(int(np.sum(near)), wanted) / wanted
    return total / len(queries)


def percentile_microseconds(seconds: np.ndarray, percent: float) -> float:
    return float(np.percentile(seconds, percent) * 1e6)


def resident_bytes() -> dict[str, int]:
    """This process's resident memory: `anonymous` is its own, `file` is mapped and can be dropped by the system."""
    status = Path("/proc/self/status").read_text()
    kilobytes = {name: int(value) for name, value in re.findall(r"^(Rss\w+):\s+(\d+) kB", status, re.MULTILINE)}
    return {"anonymous": kilobytes.get("RssAnon", 0) * 1024, "file": kilobytes.get("RssFile", 0) * 1024}


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def pin(cores: Sequence[int]) -> None:
    """Keep every thread of this process on `cores`."""
    for task in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(task), cores)


def machine() -> Mapping[str, Any]:
    """What the figures were measured on."""
    cpu = Path("/proc/cpuinfo").read_text()
    field = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in cpu.splitlines())}
    flags = field.get("flags", "").split()
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimd", "asimddp")
    caches = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind = (index / "level").read_text().strip(), (index / "type").read_text().strip()
        caches[f"L{level} {kind.lower()}"] = (index / "size").read_text().strip()
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {
        "processor": field.get("model name", platform.machine()),
        "family_model": f"{field.get('cpu family')}/{field.get('model')}",
        "cores": os.cpu_count(),
        "instructions": [flag for flag in wanted if flag in flags],
        "caches": caches,
        "memory_gib": round(int(memory[1]) / 2**20, 1) if memory else None,
        "virtual": "hypervisor" in flags,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
