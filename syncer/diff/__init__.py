"""Compares a response with the stored data and decides what changed. Pure code: no I/O, no clock, no SQL."""
