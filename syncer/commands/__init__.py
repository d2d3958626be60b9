"""What the commands do beyond finding their room: one module each."""
