"""The explorer: a page on loopback that shows particles of a store, and what is brushed of them."""
