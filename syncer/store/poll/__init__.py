"""What a poll reads and writes in PostgreSQL."""
