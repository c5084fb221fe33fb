"""Hooks and fixtures of the plugin; wiring only."""
