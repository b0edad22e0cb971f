"""What the results say: each claim with its prediction, interval and verdict, and what the chapters
report beside them.

Reads arrays, computes none; imports `run`, `reduced` and what is below.
"""
