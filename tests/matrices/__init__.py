"""Matrices: every case of a promise tried for real, shown as a table. ``python -m tests.matrices.NAME`` prints one."""
