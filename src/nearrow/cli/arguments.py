"""Arguments: which parameters do several commands share?"""

from __future__ import annotations

from typing import Annotated

import typer

LIBRARY_HELP = "The database's directory, or the address of a server: grpc://host:port"
LibraryArgument = Annotated[str, typer.Argument(metavar="LIBRARY", help=LIBRARY_HELP)]
NameArgument = Annotated[str, typer.Argument(metavar="COLLECTION", help="The collection's name.")]

MetricOption = Annotated[str, typer.Option(help="cosine, l2 (euclidean) or dot (ip).")]
TextFieldOption = Annotated[
    list[str] | None, typer.Option("--text-field", help="A column for full text; may be repeated.")
]
DurabilityOption = Annotated[str, typer.Option(help="full, batched or off: what is on disk when a write returns?")]
DtypeOption = Annotated[str, typer.Option(help="float32, or float16 for half the disk.")]
