"""Agents and networks, built from specs and never from environments."""
