"""What the charts ask of the views."""
