"""What all rooms build on: checks, seeds, devices, files, and the names of kinds of arrays."""
