"""Settings that all tests share: how Hypothesis draws its examples."""

from __future__ import annotations

from hypothesis import settings

# The same examples in every run, so that nothing fails by chance; a shared machine is no clock.
settings.register_profile("ci", derandomize=True, deadline=None)
# Looks for new failures, at length: pytest --hypothesis-profile=explore
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile("ci")
