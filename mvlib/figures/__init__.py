"""Drawings: the only package that knows matplotlib and seaborn.

Imports every other package; none imports it.  `picture` is what every drawing returns, `parts` what
several of them share; the other modules are one a chapter, or a family of chapters.

A chapter imports its own module as `draw` and whatever else it shows by name:

    from mvlib.figures import students as draw
    from mvlib.figures.networks import race
    from mvlib.figures.picture import Table
"""
