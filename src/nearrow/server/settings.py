"""Settings: how is a server started, and which combinations would be a mistake?"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nearrow.errors import InvalidArgumentError, NotFoundError
from nearrow.server.auth import Tokens
from nearrow.server.limits import Limits

TOKENS_VARIABLE = "NEARROW_TOKENS"
DEFAULT_PORT = 7447


@dataclass(frozen=True)
class ServerSettings:
    """Everything that `nearrow serve` can be told.

    host, port: of Flight; port 0 takes a free one. http_host, http_port: of /metrics, /healthz and /readyz, without TLS
    wherever that is; port None: no HTTP, 0: a free one. certificate, key: PEM files, for TLS. client_ca: PEM file; clients
    must show a certificate that it has signed. insecure: yes, open to the network without TLS or tokens. snapshots: the
    folder for snapshots. drain_seconds: how long calls that are under way may go on when the server is to stop. slow_ms:
    what is logged as slow.
    """

    library: str
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    http_port: int | None = None
    http_host: str = "127.0.0.1"
    tokens: Tokens = field(default_factory=Tokens)
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    client_ca: str | os.PathLike[str] | None = None
    insecure: bool = False
    snapshots: str | os.PathLike[str] | None = None
    read_only: bool = False
    drain_seconds: float = 30.0
    slow_ms: float = 100.0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise InvalidArgumentError("a certificate and its key belong together; give both")
        if self.client_ca is not None and self.certificate is None:
            raise InvalidArgumentError("asking clients for certificates needs TLS: give a certificate and its key")
        if self.http_port is not None and not is_loopback(self.http_host) and not self.insecure and not self.tokens:
            raise InvalidArgumentError(
                f"{self.http_host} can be reached from other machines, and everybody there could read /metrics; "
                "give tokens, or say --insecure"
            )
        for path in (self.certificate, self.key, self.client_ca):
            if path is not None and not Path(path).is_file():
                raise NotFoundError(f"no such file: {os.fspath(path)}")
        if not is_loopback(self.host) and not self.insecure and not (self.certificate and self.tokens):
            missing = "TLS" if self.tokens else "tokens" if self.certificate else "TLS and tokens"
            raise InvalidArgumentError(
                f"{self.host} can be reached from other machines, and the server has no {missing}: "
                f"everybody there could read or change the rows. Give a certificate and tokens, or say --insecure"
            )

    @property
    def scheme(self) -> str:
        return "grpc" if self.certificate is None else "grpc+tls"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address. A name other than localhost may be any address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def tokens_from(file: str | os.PathLike[str] | None, environment: Mapping[str, str]) -> Tokens:
    """The tokens of the file, else those of NEARROW_TOKENS (lines, or parts between semicolons), else none."""
    if file is not None:
        return Tokens.read(Path(file))
    text = environment.get(TOKENS_VARIABLE)
    return Tokens() if text is None else Tokens.parse(text.replace(";", "\n").splitlines(), TOKENS_VARIABLE)
