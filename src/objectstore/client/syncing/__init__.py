"""Two trees made alike: which names count, what differs, and what is to be done about it. Rules without a disk."""
