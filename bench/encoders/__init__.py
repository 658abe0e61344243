"""Backbones of several libraries, each as the one `Encoder` that the rest knows."""
