"""Limits: how much may one untrusted query use?"""

from __future__ import annotations

from dataclasses import dataclass

from nearrow.errors import InvalidArgumentError

MIB = 1 << 20
MEMORY_BYTES_MIN = 16 * MIB


@dataclass(frozen=True)
class Limits:
    """What ends a query with a LimitExceededError.

    seconds: from the question to the last batch that is read, whatever the reader waits for meanwhile.
    memory_bytes: besides the rows, which are mapped. result_bytes: as Arrow, all batches together.
    threads: at once; the processor's time is limited to as many times `seconds`.
    """

    seconds: float = 30.0
    memory_bytes: int = 1024 * MIB
    result_bytes: int = 256 * MIB
    threads: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.seconds, bool) or not isinstance(self.seconds, (int, float)) or not self.seconds > 0:
            raise InvalidArgumentError(f"seconds must be a number above 0, not {self.seconds!r}")
        least = {"memory_bytes": MEMORY_BYTES_MIN, "result_bytes": 1, "threads": 1}
        for name, minimum in least.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
                raise InvalidArgumentError(f"{name} must be an int of at least {minimum}, not {value!r}")
