"""Benchmarks are a folder of the project, not of the package: tests import them from the project's root."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
