"""`Run` to text, one file a format."""
