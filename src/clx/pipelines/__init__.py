"""Pipelines: several works, made of one document of YAML and done stage by stage."""
