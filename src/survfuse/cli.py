"""Verbs only."""
