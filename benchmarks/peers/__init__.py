"""holdfast beside other backup tools, on the same data in the same run.

``python -m benchmarks.peers --help`` says how to run it; docs/performance.md is what it makes.
"""
