"""Reads and writes what one poll needs in PostgreSQL."""
