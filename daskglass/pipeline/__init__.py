"""Which tasks a study has, which are left, what they cost, and running them."""
