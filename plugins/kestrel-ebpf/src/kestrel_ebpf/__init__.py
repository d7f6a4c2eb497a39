"""Live collection on Linux for Kestrel."""
