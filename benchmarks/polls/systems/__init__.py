"""The programs that are given the same steps."""
