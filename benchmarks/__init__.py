"""What the program costs, beside others and beside the least that the work can cost; and what it withstands."""
