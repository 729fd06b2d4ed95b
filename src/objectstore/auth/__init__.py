"""Credentials: tokens, what they allow, and the file that keeps them."""
