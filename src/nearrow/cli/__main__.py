"""`python -m nearrow.cli`: how does one run the command line without the installed script?"""

from __future__ import annotations

from nearrow.cli.main import app

app()
