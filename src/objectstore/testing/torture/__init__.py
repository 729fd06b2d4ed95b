"""`objectstore torture`: a real server is killed again and again, and its whole history checked."""
