"""Survival statistics on plain arrays: outcome, curves, Cox fits, metrics, calibration, losses.

Exact where follow-up is recorded in whole months and events and censorings share
a time: events come before censorings everywhere, and the censoring curve is read
at its left limit. Only `losses` and its gate know torch. Import from the files of this room,
or through the doors :mod:`survfuse.metrics` and :mod:`survfuse.losses`.
"""
