"""Antibody assays: hydrophobicity, self-association, melting temperature, and the like."""

from dataclasses import dataclass

from tasks.protein import Protein


@dataclass(frozen=True, kw_only=True)
class Antibody(Protein):
    """One `assay` of a table that has a column for each; heavy and light chain are two columns.

    Antibodies without a measurement have an empty cell: they are neither trained on nor scored.
    """

    VERSION = 1
    assay: str
