"""Writes down packets that security groups judged or routers translated, for those who asked for a log."""
