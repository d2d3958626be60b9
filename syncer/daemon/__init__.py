"""The daemon: schedules and runs polls, refreshes gauges, deletes old runs, and reports to systemd."""
