"""Redundant routers on one host."""
