"""Benchmarks that others published figures for: one file and one command each, data by path."""
