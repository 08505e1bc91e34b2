"""Report: which tables and plots do the figures under benchmarks/results make?

python -m benchmarks.report writes benchmarks/results/tables.md, the plots beside it, and the part of docs/benchmarks.md
between its two markers. It needs matplotlib, so it runs with the peers' interpreter (run.py calls it so at its end).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import filter_report, results
from benchmarks.data import SOURCES
from benchmarks.engines import DATABASES, INDEXES
from benchmarks.measure import RECALLS
from benchmarks.plots import plot_curves, plot_filters
from benchmarks.tables import build_seconds, build_text, bytes_text, markdown, rate_text, ratio, seconds_text

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- generated: benchmarks.report -->", "<!-- end of generated -->"


def main(folder: Path = results.FOLDER) -> None:
    parts = [_machine(folder)]
    for dataset, (_, _, title) in SOURCES.items():
        found = {name: results.read(dataset, name, folder) for name in results.engines(dataset, folder)}
        if not found:
            continue
        indexes = {name: found[name] for name in INDEXES if name in found}
        databases = {name: found[name] for name in DATABASES if name in found}
        parts.append(f"## {title}")
        parts += [_search_table(indexes), _latency_table(indexes), _cost_table(indexes)]
        curves = {name: figures["curve"] for name, figures in indexes.items() if "curve" in figures}
        if curves:
            plot_curves(curves, title, folder / f"{dataset}.svg")
            parts.append(f"![recall against queries per second]({dataset}.svg)")
        parts.append(_counted_table(indexes))
        if databases:
            parts += ["### Databases", _search_table(databases), _latency_table(databases), _database_costs(databases)]
        filtered = {name: figures["filtered"] for name, figures in databases.items() if figures.get("filtered")}
        if filtered:
            plot_filters(filtered, folder / f"{dataset}-filters.svg")
            parts += ["### Filters", *filter_report.tables(filtered), f"![filtered]({dataset}-filters.svg)"]
        texts = {name: figures["text"] for name, figures in databases.items() if "hybrid" in figures.get("text", {})}
        if texts:
            parts += ["### Words, vectors, both (queries per second)", _text_table(texts)]
    text = "\n\n".join(part for part in parts if part) + "\n"
    (folder / "tables.md").write_text(text)
    if folder == results.FOLDER:
        _into_docs(text)


def _machine(folder: Path) -> str:
    file = folder / "machine.json"
    if not file.exists():
        return ""
    known = json.loads(file.read_text())
    caches = ", ".join(f"{name} {size}" for name, size in known["caches"].items())
    return (
        f"Machine: {known['processor']}, family/model {known['family_model']}, {known['cores']} cores"
        f"{' (virtual)' if known['virtual'] else ''}, {', '.join(known['instructions'])}; {caches}; "
        f"{known['memory_gib']} GiB; {known['system']}; Python {known['python']}. Ratios (×) are to hnswlib in the same run."
    )


def _search_table(found: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, figures in found.items():
        if "at" not in figures:
            rows.append([name, *[figures.get("search_error") or _why_absent(figures), "", "", "", ""]])
            continue
        reference = (figures.get("reference") or {}).get("at") or {}
        cells = [rate_text(figures["at"].get(f"{r:g}"), reference.get(f"{r:g}")) for r in RECALLS]
        best = max(point["recall"] for point in figures["curve"])
        rows.append([name, *cells, f"{best:.4f}"])
    header = ["queries per second at recall@10", *[f"{recall:g}" for recall in RECALLS], "best recall"]
    return markdown(header, rows)


def _why_absent(figures: dict[str, Any]) -> str:
    errors = [outcome["error"] for outcome in figures.get("build", {}).values() if "error" in outcome]
    return errors[0] if errors else "not measured"


def _point_at(figures: dict[str, Any], recall: float) -> dict[str, Any] | None:
    reaching = [point for point in figures.get("curve", []) if point["recall"] >= recall]
    return max(reaching, key=lambda point: point["qps"]) if reaching else None


def _latency_table(found: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, figures in found.items():
        if "open" not in figures:
            continue
        point, batch, entered = _point_at(figures, 0.95), figures.get("batch") or {}, figures["open"]
        reference = (figures.get("reference") or {}).get("batch") or {}
        first = entered["open_seconds"] + entered["first_search_seconds"]
        rows.append(
            [
                name,
                f"{point['p50_us']:.0f} / {point['p99_us']:.0f}" if point else "–",
                f"{batch['qps']:,.0f}{ratio(batch['qps'], reference.get('qps'))}" if "qps" in batch else "–",
                seconds_text(entered["open_seconds"]),
                seconds_text(first),
                bytes_text(entered["resident"]["anonymous"] - entered["at_import"]["anonymous"]),
                bytes_text(max(0, entered["resident"]["file"] - entered["at_import"]["file"])),
            ]
        )
    header = ["one query / batch", "p50 / p99 µs at .95", "batch QPS, 2 threads", "open", "first result"]
    return markdown([*header, "memory of its own", "mapped files in memory"], rows)


def _cost_table(found: dict[str, dict[str, Any]]) -> str:
    yardstick = found.get("hnswlib", {}).get("build", {})
    rows = []
    for name, figures in found.items():
        built = figures.get("build", {})
        cells = []
        for threads in ("1", "2"):
            outcome, reference = built.get(threads, {}), yardstick.get(threads, {})
            if "seconds" in outcome:
                cells.append(f"{build_text(outcome)}{ratio(build_seconds(reference), build_seconds(outcome))}")
            else:
                cells.append(outcome.get("error", "–"))
        disk = (figures.get("open") or built.get("1") or built.get("2") or {}).get("bytes_on_disk")
        version = figures.get("open", {}).get("version") or built.get("1", {}).get("version", "")
        rows.append([f"{name} {version}", *cells, bytes_text(disk) if disk else "–"])
    return markdown(["build", "1 thread (× faster)", "2 threads", "index on disk"], rows)


def _counted_table(found: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, figures in found.items():
        for point in figures.get("counted", {}).get("points", []):
            counted = [f"{point[what]:,.0f}" for what in ("hops", "code_distances", "exact_distances")]
            times = [f"{point['memory_us']:.1f} µs", f"{point['measured_us']:.1f} µs", f"{point['share']:.0%}"]
            rows.append([f"{name} at {point['asked']:g} (ef {point['beam']})", *counted, *times])
    header = ["the walk, per query", "hops", "code distances", "exact distances"]
    return markdown([*header, "memory floor", "measured", "floor ÷ measured"], rows)


def _database_costs(found: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, figures in found.items():
        outcome = next((o for o in figures.get("build", {}).values() if "seconds" in o), None)
        if outcome is None:
            rows.append([name, _why_absent(figures), "", ""])
            continue
        ingest = f"{115_659 / outcome['ingest_seconds']:,.0f}" if outcome.get("ingest_seconds") else "–"
        version = outcome.get("version", "")
        rows.append(
            [f"{name} {version}", ingest, seconds_text(outcome["seconds"]), bytes_text(outcome["bytes_on_disk"])]
        )
    return markdown(["ingest", "rows/s taken in", "ready to search after", "on disk"], rows)


def _text_table(found: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, figures in found.items():
        slower = min(figures["text"], figures["vector"])
        cells = [f"{figures[mode]:,.0f}" for mode in ("text", "vector", "hybrid")]
        rows.append([name, *cells, f"{figures['hybrid'] / slower:.2f}"])
    return markdown(["engine", "words", "vector", "both", "both ÷ slower side"], rows)


def _into_docs(text: str) -> None:
    page = ROOT / "docs" / "benchmarks.md"
    if not page.exists():
        return
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    linked = text.replace("](", "](../benchmarks/results/")
    page.write_text(f"{before}{BEGIN}\n\n{linked}\n{END}{after}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
