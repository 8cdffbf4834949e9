"""One file for each family of things that stand around a container."""
