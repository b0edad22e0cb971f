"""The race in feature space: the twin of the page that runs in the browser.

Two views a class.  Imports `experiments` and what is below.
"""
