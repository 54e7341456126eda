"""Adapters to other libraries of time series; each is imported by who asks for it."""
