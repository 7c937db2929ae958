"""One file for each analytics format."""
