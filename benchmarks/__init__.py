"""Measurements: speed and memory compared with other programs and with the minimum, and behaviour under load."""
