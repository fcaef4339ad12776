"""A file each for what can be registered: the least that works."""
