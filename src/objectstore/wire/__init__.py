"""The HTTP contract in both directions, written once: what the server reads the client writes, and back."""
