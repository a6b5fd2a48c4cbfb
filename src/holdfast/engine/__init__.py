"""The engine's public classes: an open repository, and how to get one. No algorithms."""
