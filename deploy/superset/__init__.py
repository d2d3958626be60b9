"""Dashboards for Superset, as code."""
