"""How the shape of an image is said."""

# (channels, height, width)
ImageShape = tuple[int, int, int]
