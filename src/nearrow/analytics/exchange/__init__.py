"""Exchange: rows from and to files, and from other libraries' indexes and databases."""
