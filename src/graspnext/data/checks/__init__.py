"""What `data.check` looks for, one subject a file."""
