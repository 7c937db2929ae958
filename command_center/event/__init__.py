"""The append-only log that every console is a replica of."""
