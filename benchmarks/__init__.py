"""The numbers the README quotes. Each module runs by itself; ``python -m benchmarks`` runs all of them."""
