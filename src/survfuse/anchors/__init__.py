"""Anchors: what each modality alone says of a patient's risk, convexly fitted, and how far to trust it.

The ridge Cox of some modalities is also the baseline that every model must beat.
"""
