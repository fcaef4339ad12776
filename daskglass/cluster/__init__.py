"""Where tasks run: workers on this machine or in jobs of a batch system."""
