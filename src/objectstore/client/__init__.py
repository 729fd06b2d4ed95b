"""Drivers of the flows in `wire.flows`: one that blocks, one that awaits."""
