"""The daemon: when accounts are due, who polls them, and what runs beside the polls."""
