"""The client of the vendor's endpoint: the HTTP request with its limits and retries, and messages for its failures."""
