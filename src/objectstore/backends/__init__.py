"""Places that keep objects: the contract, and a file a backend."""
