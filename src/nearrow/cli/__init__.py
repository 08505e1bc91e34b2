"""Command line: what can be done without writing Python?

`nearrow --help` lists the commands. Each module here is one group of them; none holds logic of its own beyond
reading options, calling the public API and showing what came back.
"""
