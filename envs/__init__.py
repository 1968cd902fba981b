"""Gymnasium in, batched TF-Agents PyEnvironments out."""
