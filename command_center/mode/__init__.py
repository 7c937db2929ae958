"""Peacetime and wartime operation (平战结合): who declared it where, for what, until when and why."""
