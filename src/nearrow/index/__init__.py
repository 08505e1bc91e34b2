"""Index: which structures find rows fast, and can be rebuilt from them?"""
