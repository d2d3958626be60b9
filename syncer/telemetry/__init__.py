"""Logs and metrics: the only place where the results of polls are logged and counted."""
