"""Which studies the book runs, at which of three scales.

`settings` is the setting of every chapter, `catalogue` the list.  Imports `studies` and below.
"""
