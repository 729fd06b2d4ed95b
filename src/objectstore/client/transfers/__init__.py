"""Transfers between files and a store: in parts, side by side, resumed, verified."""
