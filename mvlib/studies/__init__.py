"""Kinds of study, one a module: a configuration, what it computes, what it costs, its version.

`probes` holds the small studies that a stamp compares.  Imports `deep`, `paper`, `store`.
"""
