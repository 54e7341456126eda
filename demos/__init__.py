"""Demos: each module answers one question; `python -m demos` runs the main ones."""
