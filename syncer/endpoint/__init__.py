"""The vendor's endpoint: one HTTP request, with its limits and retries, and what its failures mean."""
