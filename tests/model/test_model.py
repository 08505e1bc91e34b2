"""Model: does a collection hold what a dict holds, and find what brute force finds, over every directory?"""

from __future__ import annotations

import os
import unittest

from hypothesis import Phase, settings

from nearrow.testing.model_harness import FaultHarness, Harness, LocalHarness, MemoryHarness
from nearrow.testing.model_machine import machine

EXAMPLES = int(os.environ.get("NEARROW_MODEL_EXAMPLES", "15"))
STEPS = 30
SHRINK = "NEARROW_MODEL_SHRINK" in os.environ  # a failure is shown at once; shrinking it takes minutes


def case(harness: type[Harness], **kind: object) -> type[unittest.TestCase]:
    found = machine(harness, **kind).TestCase
    found.settings = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        phases=[Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if SHRINK else [])],
        report_multiple_bugs=False,
    )
    return found


TestMemory = case(MemoryHarness, metric="l2")
TestMemoryHalves = case(MemoryHarness, metric="dot", dtype="float16", integers=True)
TestLocal = case(LocalHarness, metric="cosine", integers=True)
TestLocalTexts = case(LocalHarness, metric="l2", text=True)
TestMemoryTexts = case(MemoryHarness, metric="l2", integers=True, text=True)
TestFaults = case(FaultHarness, metric="l2")
TestFaultsCosine = case(FaultHarness, metric="cosine", integers=True)
TestFaultsTexts = case(FaultHarness, metric="l2", text=True)
