"""Models of strangers: read without a native parser, then run in a process with limits."""
