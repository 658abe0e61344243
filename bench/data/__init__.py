"""Data on disk: image files read and cached as arrays, published folder layouts, and phantoms drawn in them."""
