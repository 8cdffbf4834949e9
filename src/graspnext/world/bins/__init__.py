"""One file for each family of containers."""
