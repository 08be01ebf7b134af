"""What measures and selectors are made of.

Arrays, distances, products, greedy choices.
"""
