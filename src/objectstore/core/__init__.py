"""Rules as plain functions of values: no file, no socket, no clock, no randomness."""
