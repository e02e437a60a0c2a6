"""Shared by all tests: property tests draw the same examples on every run."""
from hypothesis import HealthCheck, settings

settings.register_profile(
    "book", derandomize=True, deadline=None, max_examples=150, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("book")
