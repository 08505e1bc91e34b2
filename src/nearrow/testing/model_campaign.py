"""Model campaign: how many random steps has each kind of collection gone the way of the model?

`KINDS` are what `tests/model` runs for a few histories each and `crash model` for as many steps as it is told. Needs
hypothesis.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from nearrow.testing.model_harness import FaultHarness, Harness, LocalHarness, MemoryHarness
from nearrow.testing.model_machine import CollectionMachine, machine

STEPS_PER_HISTORY = 30
HISTORIES_PER_TURN = 20

KINDS: dict[str, tuple[Callable[[], Harness], dict[str, Any]]] = {
    "memory": (MemoryHarness, {"metric": "l2"}),
    "memory, halves": (MemoryHarness, {"metric": "dot", "dtype": "float16", "integers": True}),
    "memory, texts": (MemoryHarness, {"metric": "l2", "integers": True, "text": True}),
    "local": (LocalHarness, {"metric": "cosine", "integers": True}),
    "local, texts": (LocalHarness, {"metric": "l2", "text": True}),
    "faults": (FaultHarness, {"metric": "l2"}),
    "faults, cosine": (FaultHarness, {"metric": "cosine", "integers": True}),
    "faults, texts": (FaultHarness, {"metric": "l2", "text": True}),
}


def machine_of(kind: str) -> type[CollectionMachine]:
    harness, settings_of_kind = KINDS[kind]
    return machine(harness, **settings_of_kind)


def model_settings(histories: int, *, shrink: bool = False) -> settings:
    """Without `shrink` a failure is shown at once; shrinking it takes minutes."""
    return settings(
        max_examples=histories,
        stateful_step_count=STEPS_PER_HISTORY,
        phases=[Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if shrink else [])],
        report_multiple_bugs=False,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def random_steps(
    steps: int, first_seed: int, *, histories: int = HISTORIES_PER_TURN, kinds: Iterable[str] = KINDS
) -> dict[str, Counter[str]]:
    """So many histories of every kind in turn, until so many steps are done; what each kind has done."""
    machines = {kind: machine_of(kind) for kind in kinds}
    turn = 0
    while sum(made.counts["steps"] for made in machines.values()) < steps:
        for kind, made in machines.items():
            seeded = seed(f"{kind} {first_seed} {turn}")(made)
            run_state_machine_as_test(seeded, settings=model_settings(histories))
        turn += 1
    return {kind: made.counts for kind, made in machines.items()}
