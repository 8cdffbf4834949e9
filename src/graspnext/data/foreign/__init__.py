"""Data sets of others: read-only adapters to our `View`, conversion to our format, and export to theirs."""
