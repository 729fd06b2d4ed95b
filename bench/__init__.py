"""What this store does in a second, measured beside what a user would pick instead: `python -m bench`."""
