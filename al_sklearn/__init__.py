"""Deep active learning for images that feels like scikit-learn."""

__version__ = "0.1.0"
