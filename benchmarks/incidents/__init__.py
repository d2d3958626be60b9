"""What incidents at the vendor's do to the history of the numbers."""
