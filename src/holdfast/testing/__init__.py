"""For those who test against holdfast: a suite for backends, strategies, builders of trees.

Shipped, and imported by nothing else that is shipped.
"""
