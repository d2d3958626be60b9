"""Configuration: environment variables, the accounts file, and the formats of their values."""
