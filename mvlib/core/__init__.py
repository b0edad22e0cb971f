"""What every room stands on: refusals, random streams, intervals, files, the library's own source.

Knows nothing of the paper; imports no other package of mvlib.
"""
