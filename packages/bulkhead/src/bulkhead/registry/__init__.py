"""The model registry: its records, its two journals, the model files, and what is decided about them."""
