"""Backends around backends, a file a wrapper."""
