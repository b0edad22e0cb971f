"""Experiments computed into a store: on this machine's cores or a cluster, with progress.

Imports `experiments`, `studies`, `store` and what is below.
"""
