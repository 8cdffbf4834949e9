"""One head a task."""
