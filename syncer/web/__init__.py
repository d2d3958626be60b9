"""The daemon's HTTP interface: liveness, readiness, metrics and the status page."""
