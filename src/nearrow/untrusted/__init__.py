"""Untrusted: SQL from people who are not trusted, each query in a locked-down process of its own."""

from nearrow.untrusted.limits import Limits
from nearrow.untrusted.sandbox import Sandbox, run

__all__ = ["Limits", "Sandbox", "run"]
