"""Nearrow: an embedded, Arrow-native vector database."""
