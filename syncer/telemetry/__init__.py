"""Logs and metrics: the one place where outcomes are counted."""
