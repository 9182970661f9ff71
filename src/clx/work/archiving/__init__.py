"""What becomes of the files of works that were done: products, plots, outputs and results, as policies say."""
