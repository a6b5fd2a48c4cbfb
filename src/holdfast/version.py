"""The version, in the one place that the package, its command line and its build read."""

__version__ = "0.1.0"
