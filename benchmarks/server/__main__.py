"""Table: how far is a library behind a server from one in this process, and from what the transport costs?

    python -m benchmarks.server [--rows N] [--seconds S]

Everything on the loopback: the server, the bare peer and each client are processes of their own. Ratios of one run are
to be trusted, not times: on two cores, clients and server share what there is.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow import flight

import nearrow
from benchmarks.data import wordnet_table
from benchmarks.server.asking import BARE
from benchmarks.server.measures import bare_scan, bulk, float32_matrix, interleaved, scan_rate
from benchmarks.server.processes import Running, asking_elsewhere, run_clients, start_bare, start_server, stopping
from nearrow.server.transport import EXPERIMENTS, WAITING_THREADS_READ

NAME = "words"
MEASURES = ("latency", "throughput", "scans", "ingest")
Line = tuple[str, str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=115_659)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement of throughput")
    parser.add_argument("--only", nargs="+", default=list(MEASURES), choices=MEASURES, help="some of the measurements")
    parser.add_argument("--library", type=Path, help="keep the prepared library here, and use it if it is there")
    parser.add_argument("--prepare", action="store_true", help="make that library and nothing else")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        library = arguments.library or Path(temporary) / "library"
        rows = wordnet_table().slice(0, arguments.rows)
        prepare(library, rows)
        if arguments.prepare:
            return
        table = Path(temporary) / "vectors.arrow"
        wide = vectors_only(rows)
        with pa.OSFile(str(table), "wb") as sink, pa.ipc.new_file(sink, wide.schema) as file:
            file.write_table(wide, 8192)
        print(f"{'':44} {'server':>12} {'compared with':>30}")
        measures = {"latency": latency, "throughput": throughput, "scans": scans, "ingest": ingest}
        for only in arguments.only:
            for name, ours, theirs in measures[only](library, table, rows, arguments):
                print(f"{name:44} {ours:>12} {theirs:>30}", flush=True)


def prepare(library: Path, rows: pa.Table) -> None:
    """The library to ask: all rows in one segment, with its graph."""
    with nearrow.connect(library) as db:
        if NAME in db.collections():
            return
        words = db.create_collection(NAME, dimension=384, metric="cosine")
        words.add(rows)
        words.compact()


def vectors_only(rows: pa.Table) -> pa.Table:
    """Rows of 384 floats and an id: what a scan of wide vectors is about."""
    matrix = float32_matrix(rows["vector"])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])
    return pa.table({"id": rows["id"], "vector": vectors})


def latency(library: Path, table: Path, rows: pa.Table, arguments: argparse.Namespace) -> Iterator[Line]:
    """One client, one query at a time, in turn with the same library opened here and with bare servers.

    The bare round trip is one of processes that leave gRPC as it is; the other has the settings that Nearrow gives it.
    """
    queries = float32_matrix(wordnet_table("queries")["vector"])
    plain, same = {EXPERIMENTS: ""}, WAITING_THREADS_READ
    with (
        stopping(start_server(library)) as server,
        stopping(start_bare(table, plain)) as bare,
        stopping(start_bare(table, same)) as bare_alike,
        asking_elsewhere(bare, BARE, plain) as ask_bare,
        asking_elsewhere(bare_alike, BARE, same) as ask_alike,
        nearrow.connect(library, read_only=True) as here,
        nearrow.connect(server.location) as there,
    ):
        local, remote = here.collection(NAME), there.collection(NAME)
        found = interleaved(
            {
                "local": lambda i: local.search(queries[i]).ids,
                "remote": lambda i: remote.search(queries[i], columns=[]).ids,
                "bare": ask_bare,
                "alike": ask_alike,
                "local, columns": lambda i: local.search(queries[i]).to_arrow(),
                "remote, columns": lambda i: remote.search(queries[i]).to_arrow(),
            },
            arguments.queries,
        )
    bare_p50 = found["bare"]
    for kind in ("", ", columns"):
        ours, theirs = found[f"remote{kind}"], found[f"local{kind}"]
        label = "one search, p50" + (", with its columns" if kind else ", ids and distances")
        beyond = ours - theirs
        yield label, f"{ours:,.0f} µs", f"local {theirs:,.0f} µs: {beyond:+,.0f} µs, {beyond / bare_p50:.2f} × bare"
    yield "a bare round trip, p50", f"{bare_p50:,.0f} µs", "pyarrow.flight alone"
    yield "the same with our settings of gRPC", f"{found['alike']:,.0f} µs", ""


def throughput(library: Path, table: Path, rows: pa.Table, arguments: argparse.Namespace) -> Iterator[Line]:
    """One client process and eight, and the same of round trips to the bare server: the ratio that there is to have."""
    with stopping(start_server(library)) as server, stopping(start_bare(table)) as bare:
        asked = ((server, NAME, 1), (server, NAME, 8), (bare, BARE, 1), (bare, BARE, 8))
        rates = [clients_rate(*one, arguments.seconds) for one in 2 * asked][len(asked) :]
    for what, (one, one_cores), (eight, eight_cores) in (("searches", *rates[:2]), ("bare round trips", *rates[2:])):
        yield f"{what} a second, 1 client", f"{one:,.0f}", f"the client takes {one_cores:.2f} cores"
        yield (
            f"{what} a second, 8 clients",
            f"{eight:,.0f}",
            f"{eight / one:.2f} × one; clients {eight_cores:.2f} cores",
        )


def clients_rate(server: Running, collection: str, count: int, lasting: float) -> tuple[float, float]:
    """Answers a second, and processor time of all clients a second."""
    found = run_clients("benchmarks.server.asking", [server.location, collection, str(lasting)], count)
    return sum(one["rate"] for one in found), sum(one["processor"] for one in found)


def scans(library: Path, table: Path, rows: pa.Table, arguments: argparse.Namespace) -> Iterator[Line]:
    """All ids and vectors, against the bare server with the same table in memory."""
    with (
        stopping(start_server(library)) as server,
        stopping(start_bare(table)) as bare,
        nearrow.connect(server.location) as there,
        flight.FlightClient(bare.location) as client,
    ):
        words = there.collection(NAME)
        ours = scan_rate(lambda: words.scan(columns=["id", "vector"]))
        theirs = scan_rate(lambda: bare_scan(client))
        ours = max(ours, scan_rate(lambda: words.scan(columns=["id", "vector"])))
    yield "scan of vectors, GB/s", f"{ours:.2f}", f"bare {theirs:.2f}: {ours / theirs:.0%}"


def ingest(library: Path, table: Path, rows: pa.Table, arguments: argparse.Namespace) -> Iterator[Line]:
    """One durable add of all rows into a new collection, here and through a server, each the best of three."""
    here_seconds, there_seconds = [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with (
            stopping(start_server(folder / "there")) as server,
            nearrow.connect(server.location) as there,
            nearrow.connect(folder / "here") as here,
        ):
            for number in range(3):
                for database, times in ((here, here_seconds), (there, there_seconds)):
                    words = database.create_collection(f"{NAME}{number}", dimension=384, metric="cosine")
                    times.append(bulk(words, rows))
                    words.wait()
                    database.drop_collection(words.name)
    ours, theirs = len(rows) / min(there_seconds), len(rows) / min(here_seconds)
    yield "durable bulk ingest, rows/s", f"{ours:,.0f}", f"local {theirs:,.0f}: {ours / theirs:.0%}"


if __name__ == "__main__":
    main()
