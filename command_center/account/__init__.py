"""Accounts, sessions and what an account may see."""
