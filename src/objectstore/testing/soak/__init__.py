"""`objectstore soak`: a real server under a load that lasts, with every answer checked and its memory watched."""
