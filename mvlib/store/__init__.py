"""Results kept: entries, kinds of study, stamps of sources, checkpoints of interrupted trainings.

Imports `core` alone; a study registers its kind here.
"""
