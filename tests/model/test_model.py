"""Model: does a collection hold what a dict holds, and find what brute force finds, over every directory?"""

from __future__ import annotations

import os
import unittest

from nearrow.testing.model_campaign import machine_of, model_settings, random_steps

EXAMPLES = int(os.environ.get("NEARROW_MODEL_EXAMPLES", "15"))
SHRINK = "NEARROW_MODEL_SHRINK" in os.environ


def case(kind: str) -> type[unittest.TestCase]:
    found = machine_of(kind).TestCase
    found.settings = model_settings(EXAMPLES, shrink=SHRINK)
    return found


TestMemory = case("memory")
TestMemoryHalves = case("memory, halves")
TestLocal = case("local")
TestLocalTexts = case("local, texts")
TestMemoryTexts = case("memory, texts")
TestFaults = case("faults")
TestFaultsCosine = case("faults, cosine")
TestFaultsTexts = case("faults, texts")


def test_campaign_counts_the_steps_that_it_made() -> None:
    made = random_steps(1, first_seed=1, histories=1)
    assert all(counts["histories"] == 1 and 0 < counts["steps"] <= 30 for counts in made.values())
