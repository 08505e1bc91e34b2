"""Transport: which of gRPC's ways of waiting for the network is the shortest?

gRPC has two: threads of its own that read every socket and wake whoever waits (its "event engine", the default on Linux),
or the thread that waits reads the socket itself. The second saves a change of threads on each side of each message, about
half of a round trip on the loopback (docs/decisions/105). It is chosen by a variable that gRPC reads once, when the first
client or server of the process is made; whoever sets the variable themselves keeps what they set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "GRPC_EXPERIMENTS"
WAITING_THREADS_READ = "-event_engine_client,-event_engine_listener"


@contextmanager
def shortest_way() -> Iterator[None]:
    """Make the client or server inside. The variable is gone afterwards: children of this process do not inherit it."""
    if VARIABLE in os.environ:
        yield
        return
    os.environ[VARIABLE] = WAITING_THREADS_READ
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
