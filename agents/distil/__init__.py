"""Distillation: from any policy document to one that people can read."""
