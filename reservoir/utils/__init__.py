"""The ground: checks, seeds, devices, files, and the names of kinds of arrays."""
