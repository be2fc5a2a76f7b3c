"""What was measured of antibodies: hydrophobicity, self-association, melting, and the like."""

from dataclasses import dataclass

from tasks.protein import Protein


@dataclass(frozen=True, kw_only=True)
class Antibody(Protein):
    """One `assay` of many that a table has a column for; heavy and light chain are two columns.

    Antibodies that were not measured in it have an empty cell: they are neither learned nor scored.
    """

    VERSION = 1
    assay: str
