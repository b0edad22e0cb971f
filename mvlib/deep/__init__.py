"""Ordinary deep networks, many seeds at once, and the photographs they are shown.

Imports `paper` and what is below.
"""
