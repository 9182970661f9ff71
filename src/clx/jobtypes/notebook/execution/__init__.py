"""Running code cells in kernels: strings in, nbformat-4 outputs out, nothing known of decks."""
