"""PostgreSQL: what the database knows, and how a decision is written to it."""
