"""What the page, the commands and the metrics read from PostgreSQL."""
