"""Experiments as YAML files: read, checked key by key, and turned into comparisons that run."""
