"""Queries for the status page, the commands and the metrics."""
