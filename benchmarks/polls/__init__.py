"""Measures polls of one account by syncer, by other programs, and by programs that do the minimum for the same work."""
