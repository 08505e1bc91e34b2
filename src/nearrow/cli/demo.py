"""Demo: what does Nearrow do with real data, and how fast is it on this machine?"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from nearrow.cli import demo_data
from nearrow.cli.demo_run import Answer, DemoResult, run
from nearrow.cli.output import JsonOption, byte_count, console, print_json
from nearrow.errors import AlreadyExistsError


def demo(
    data: Annotated[Path | None, typer.Option(help="A folder with rows.parquet and queries.parquet.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Leave the database in this new directory, to play with.")] = None,
    hits: Annotated[int, typer.Option(help="How many hits to show for each query.", min=1, max=10)] = 3,
    as_json: JsonOption = False,
) -> None:
    """Index real rows, search them, and reopen them in a new process; takes a few seconds.

    [dim]nearrow demo --keep ./library[/dim]
    """
    if keep is not None and keep.exists():
        raise AlreadyExistsError(f"{keep} exists; give --keep a new directory")
    demo_set = demo_data.load(demo_data.find_folder(data))
    out = console()
    with ExitStack() as stack:
        library = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nearrow-demo-"))) / "library"
        if not as_json:
            out.print(heading(demo_set))
        result = run(demo_set, library, progress=not as_json, hits_per_query=hits)
    if as_json:
        print_json(result.to_dict())
        return
    out.print(answers_table(result.answers))
    out.print()
    out.print(figures(result))
    if keep is not None:
        out.print(f"\nThe database is in [bold]{keep}[/bold]. Try:")
        out.print(f"  nearrow search {keep} wordnet --like {example_id(result)} -k 5", soft_wrap=True)


def heading(demo_set: demo_data.DemoSet) -> Text:
    where = "the small set in the package" if demo_set.folder == demo_data.BUNDLED else short(demo_set.folder)
    return Text.assemble(
        ("Nearrow", "bold cyan"),
        f" indexes {len(demo_set.rows):,} WordNet glosses, {demo_set.dimension} dimensions each",
        (f"  ({where})\n", "dim"),
    )


def short(folder: Path) -> str:
    """`folder` as seen from here."""
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)


def example_id(result: DemoResult) -> str:
    return str(result.answers[0].hits[0]["id"])


def answers_table(answers: Iterable[Answer]) -> Table:
    """The stored queries and what is near them; the gloss gets whatever width is left."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="cyan", expand=True)
    table.add_column("near …", style="bold", no_wrap=True)
    table.add_column("is", overflow="ellipsis", no_wrap=True, max_width=23)
    table.add_column("dist.", justify="right", no_wrap=True)
    table.add_column("kind", style="dim", no_wrap=True)
    table.add_column("gloss", overflow="ellipsis", no_wrap=True, ratio=1)
    for one in answers:
        for position, hit in enumerate(one.hits):
            table.add_row(
                Text(one.word if position == 0 else ""),
                Text(hit["lemmas"][0]),
                Text(f"{hit['distance']:.3f}"),
                Text(kind(hit["lexname"])),
                Text(hit["text"].partition(";")[0]),
            )
    return table


def kind(lexname: str) -> str:
    """What WordNet files a synset under: "noun.animal" is an animal; "adv.all" is just an adv."""
    part_of_speech, _, topic = lexname.partition(".")
    return part_of_speech if topic in ("all", "pert", "ppl", "Tops") else topic


def figures(result: DemoResult) -> Table:
    """What was measured, one line each."""
    opened = result.reopened
    same = "the same answer" if result.same_answer else "NOT the same answer"
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    table.add_row(
        "indexed",
        f"{result.vectors_per_second:,.0f} vectors/s",
        f"{result.index_seconds:.2f} s until checked, on disk (fsync) and indexed",
    )
    table.add_row(
        "one search", f"{result.search_us_p50:,.0f} µs", f"half are faster; 95 %: {result.search_us_p95:,.0f} µs"
    )
    table.add_row("in one call", f"{result.batch_queries_per_second:,.0f} queries/s", "200 vectors at once")
    table.add_row("recall@10", f"{result.recall_at_10:.3f}", f"against exact search ({result.exact_us_p50:,.0f} µs)")
    table.add_row("on disk", byte_count(sum(result.bytes_by_kind.values())), kinds(result.bytes_by_kind))
    table.add_row(
        "reopened",
        f"{opened.open_ms + opened.answer_ms:.1f} ms",
        f"in a new process; {same}",
    )
    table.add_row(
        "",
        "",
        f"{opened.open_ms:.1f} to open, {opened.answer_ms:.1f} to answer; Python and imports {opened.start_ms:,.0f}",
    )
    return table


def kinds(bytes_by_kind: dict[str, int]) -> str:
    return ", ".join(f"{kind} {byte_count(size)}" for kind, size in bytes_by_kind.items())
