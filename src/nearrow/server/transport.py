"""Transport: which of gRPC's ways of waiting for the network is the shortest?

gRPC has two: threads of its own that read every socket and wake whoever waits (its "event engine", the default on Linux),
or the thread that waits reads the socket itself. The second saves a change of threads on each side of each message, about
half of a round trip on the loopback (docs/decisions/105). But while no call waits, nobody would notice that a connection was
made or refused, so gRPC is told to look often. It reads its variables once, when the first client or server of the process
is made; whoever sets the first of them themselves keeps what they set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

EXPERIMENTS = "GRPC_EXPERIMENTS"
WAITING_THREADS_READ: Mapping[str, str] = {
    EXPERIMENTS: "-event_engine_client,-event_engine_listener",
    "GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS": "50",  # 5,000 by default: so late a client would be back
}


@contextmanager
def shortest_way() -> Iterator[None]:
    """Make the client or server inside. Variables are gone afterwards: children of this process do not inherit them."""
    new = {} if EXPERIMENTS in os.environ else {n: v for n, v in WAITING_THREADS_READ.items() if n not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)
