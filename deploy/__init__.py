"""What it is run with, and watched and shown with."""
