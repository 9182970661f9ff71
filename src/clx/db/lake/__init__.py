"""Versions of a lake's datasets: which files a day of one has, and who made them from what.

* A version is published by one row; its files are artifacts that the row names, so that they stay in the store.
* Rows are never changed: what is made anew is the next version.
"""
