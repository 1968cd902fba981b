"""Agents, their networks and their policies, built from specs and never from environments."""
