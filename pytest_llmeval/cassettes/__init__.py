"""Recorded answers: one file a test, vcrpy's format version 1."""
