"""What each tab of a dashboard shows."""
