"""Serving: how is a library given to other processes and machines?"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nearrow.cli.output import JsonOption, error_console, print_json

if TYPE_CHECKING:
    from nearrow.server.running import Server

LibraryFolder = Annotated[str, typer.Argument(metavar="LIBRARY", help="The database's directory.")]
LEVELS = ("debug", "info", "warning", "error")


def serve(
    library: LibraryFolder,
    host: Annotated[str, typer.Option(help="The address to serve on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port of Arrow Flight; 0 takes a free one.")] = 7447,
    http_port: Annotated[
        int | None, typer.Option(help="The port of /metrics, /healthz and /readyz; 0 takes a free one.")
    ] = None,
    http_host: Annotated[str, typer.Option(help="The address of those; there is no TLS.")] = "127.0.0.1",
    tokens: Annotated[
        Path | None, typer.Option(help="A file of lines ROLE TOKEN [NAME]; else the variable NEARROW_TOKENS.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="TLS: the server's certificate, a PEM file.")] = None,
    key: Annotated[Path | None, typer.Option(help="TLS: the certificate's key, a PEM file.")] = None,
    client_ca: Annotated[
        Path | None, typer.Option(help="mTLS: who signs the certificates that clients must show, a PEM file.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve other machines without TLS or tokens all the same.")
    ] = False,
    snapshots: Annotated[Path | None, typer.Option(help="The folder that clients may take snapshots to.")] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Serve beside a writer, and refuse writes.")] = False,
    drain_seconds: Annotated[
        float, typer.Option(help="How long calls under way may go on when the server is to stop.")
    ] = 30.0,
    slow_ms: Annotated[float, typer.Option(help="Questions that take longer are logged.")] = 100.0,
    calls_max: Annotated[int, typer.Option(help="Calls at once; more are told to try again.")] = 512,
    memory_max: Annotated[
        int | None, typer.Option(help="Anonymous memory in MiB; above it, new calls are told to try again.")
    ] = None,
    message_max: Annotated[int, typer.Option(help="The largest message of rows or queries, in MiB.")] = 256,
    log_level: Annotated[str, typer.Option(help="debug, info (a line for each call), warning or error.")] = "info",
    as_json: JsonOption = False,
) -> None:
    """Serve a library over Arrow Flight until SIGTERM or Ctrl-C; connect with nearrow.connect("grpc://host:port").

    [dim]nearrow serve ./library --http-port 7448 --tokens tokens.txt[/dim]
    """
    from nearrow.server.limits import Limits
    from nearrow.server.log import log_as_json
    from nearrow.server.running import serve_until_signal
    from nearrow.server.settings import ServerSettings, tokens_from

    if log_level not in LEVELS:
        raise typer.BadParameter(f"it is one of {', '.join(LEVELS)}", param_hint="--log-level")
    settings = ServerSettings(
        library,
        host=host,
        port=port,
        http_port=http_port,
        http_host=http_host,
        tokens=tokens_from(tokens, os.environ),
        certificate=certificate,
        key=key,
        client_ca=client_ca,
        insecure=insecure,
        snapshots=snapshots,
        read_only=read_only,
        drain_seconds=drain_seconds,
        slow_ms=slow_ms,
        limits=Limits(
            calls=calls_max,
            message_bytes=message_max << 20,
            memory_bytes=None if memory_max is None else memory_max << 20,
        ),
    )
    log_as_json(getattr(logging, log_level.upper()))

    def announce(server: Server) -> None:
        if as_json:
            print_json({"location": server.location, "http_port": server.http_port, "pid": os.getpid()})
        else:
            error_console().print(f"serving [bold]{library}[/bold] at {server.location}; Ctrl-C stops it")

    raise typer.Exit(serve_until_signal(settings, announce))
