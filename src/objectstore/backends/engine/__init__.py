"""The embedded store: an SQLite index with small bodies inline, a file for each larger one."""
