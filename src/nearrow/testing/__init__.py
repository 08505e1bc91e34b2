"""Testing: how can others test a directory, or us, the way we do?"""
