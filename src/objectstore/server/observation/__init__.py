"""What operators see of a server: request ids, metrics, logs, traces."""
