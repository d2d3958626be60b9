"""Configuration: environment variables, the accounts file, and the format of each value."""
