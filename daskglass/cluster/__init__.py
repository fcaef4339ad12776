"""Where tasks run: workers on this machine or of a batch system, kept and let go of."""
