"""Storage: where are the bytes, and when are they safe?"""
