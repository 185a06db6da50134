"""Tests of programs on bad networks: the pytest plugin, and what it is made of."""
