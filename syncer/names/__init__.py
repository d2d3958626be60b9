"""Reads the vendor's lists of names, so that views show names beside ids. The polls of numbers know nothing of it."""
