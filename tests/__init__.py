"""Tests: pure ones run anywhere; those marked `lab` make namespaces and need root."""
