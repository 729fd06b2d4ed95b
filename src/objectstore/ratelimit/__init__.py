"""Rate limits: the arithmetic, and where the counts are kept."""
