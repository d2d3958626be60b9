"""Builds and checks what is published of a version."""
