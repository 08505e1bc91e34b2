"""Served model: does a collection behind a server hold what a dict holds, and find what brute force finds?"""

from __future__ import annotations

import os

from hypothesis import Phase, settings
from server_harness import ServerHarness

from nearrow.testing.model_machine import machine

EXAMPLES = int(os.environ.get("NEARROW_MODEL_EXAMPLES", "4"))

TestServed = machine(ServerHarness, metric="l2", text=True).TestCase
TestServed.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=20,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    report_multiple_bugs=False,
)
