"""Drawings, a module a chapter: the only package that knows matplotlib and seaborn.

Imports every other package; none imports it.
"""
