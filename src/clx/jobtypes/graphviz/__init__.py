"""Graphs, drawn by Graphviz."""
