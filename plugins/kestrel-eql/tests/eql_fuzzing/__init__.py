"""Hostile input for the compiler of EQL, and what it must do with any of it."""
