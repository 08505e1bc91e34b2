"""Segment: how does an immutable set of rows lie on disk?"""
