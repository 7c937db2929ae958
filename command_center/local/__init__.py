"""Everything on one machine: a private PostgreSQL, a private broker and the processes around them."""
