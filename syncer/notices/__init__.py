"""Sends notices of changes, which it reads from the history, and of accounts that need a person."""
