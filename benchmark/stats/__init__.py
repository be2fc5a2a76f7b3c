"""Scores with their uncertainty: intervals, strata, seeds; imports results, data and core."""
