"""Faults: what happens to each embedded database under the same faults?

    python -m benchmarks.faults --peers .venv-bench                       every engine, every case
    python -m benchmarks.faults --peers .venv-bench --engine chromadb --case kill --cycles 40 --seed 1
    python -m benchmarks.faults --table                                   the results so far, as Markdown

Every engine has its default settings and writes the same batches: 20 rows with stamps, so that a batch that is half there
and a row that came back are seen. `--peers` is the environment of benchmarks/setup_peers.py, of this Python's version.
"""
