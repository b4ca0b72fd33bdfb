"""Drawn stand-ins for the real datasets; always called simulated."""
