"""Plugins: finding them, checking them, knowing what they offer, and surviving their faults."""
