"""Polls of one account, taken by the program, by others, and by the least that can be done."""
