"""Compares a response with what is stored. Pure code: no I/O, no clock, no SQL; tested on plain data."""
