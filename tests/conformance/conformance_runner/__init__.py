"""Runs files of EQL test cases: reads them, searches their events, and tells how they fared."""
