"""The tabs of the dashboards."""
