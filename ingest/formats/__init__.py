"""One file for each payload format."""
