"""The base of the library: random numbers, files and locks, threads, checks.

Everything else stands on it.
"""
