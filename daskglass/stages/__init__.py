"""What each stage of a study does."""
