"""Strategies that train something."""
