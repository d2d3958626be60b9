"""What the daemon says of itself over HTTP: live, ready, metrics, and a page for people."""
