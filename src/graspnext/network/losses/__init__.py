"""One loss a task."""
