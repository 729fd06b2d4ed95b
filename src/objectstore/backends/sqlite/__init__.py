"""Objects as rows of a database."""
