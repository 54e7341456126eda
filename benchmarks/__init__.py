"""What measures speed and memory: `python -m benchmarks` writes RESULTS.md."""
