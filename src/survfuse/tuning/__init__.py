"""Hyper-parameters, chosen on the inner folds of the training patients: spaces and the search."""
