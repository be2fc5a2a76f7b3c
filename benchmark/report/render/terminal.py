"""Plain text of a given width in terminal cells: further columns continue in further blocks.

Text is wrapped, and numbers are never cut: a number that is wider than the terminal stays whole.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from shutil import get_terminal_size
from textwrap import wrap

from rich.cells import cell_len

from benchmark.report.table import Column, Report, Table

GAP = "  "
NARROW = 24
"""Text is not wrapped below this width; in row names no word is broken that fits half the width."""


def render(report: Report, width: int) -> str:
    """All tables; titles, headings and the best values are bold if the output is a terminal."""
    bold = "\x1b[1m{}\x1b[0m" if sys.stdout.isatty() else "{}"
    parts = [bold.format(report.title)] if report.title else []
    parts += ["\n".join(wrap(report.text, width))] if report.text else []
    for table in report.tables:
        shown = ["\n".join(lines_of(block, width, bold)) for block in blocks(table, width)]
        title = [bold.format(line) for line in wrap(table.title, width)]
        parts += ["\n".join([*title, shown[0]]), *shown[1:]]
        parts += ["\n".join(wrap(note, width, break_on_hyphens=False)) for note in table.notes]
    return "\n\n".join(parts)


def folded(text: str) -> str:
    """Lines no wider than the screen; only a word that is longer, such as a path, stays whole."""
    width = get_terminal_size().columns
    lines = [
        wrap(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    ]
    return "\n".join(part for parts in lines for part in parts)


def blocks(table: Table, width: int) -> list[Table]:
    """Tables of as many columns as fit next to the row names, at least one."""
    sizes = [least + len(GAP) for least, _ in widths(table, width)]
    names = list(range(table.names))
    chosen = [names]
    for place in range(table.names, len(sizes)):
        block = [*chosen[-1], place]
        if sum(sizes[p] for p in block) - len(GAP) > width and chosen[-1] != names:
            chosen.append([*names, place])
        else:
            chosen[-1] = block
    return [
        replace(
            table,
            columns=[table.columns[place] for place in block],
            rows=[[row[place] for place in block] for row in table.rows],
        )
        for block in chosen
    ]


def widths(table: Table, width: int) -> list[tuple[int, int]]:
    """For each column the width that it needs, and the width at which nothing is wrapped."""
    rows, result = table.cells(), list[tuple[int, int]]()
    for place, column in enumerate(table.columns):
        texts = [str(row[place]) for row in rows]
        natural = max(map(cell_len, [*column.heading, *texts]))
        if column.kind == "text":
            words = [cell_len(word) for text in texts for word in text.split()]
            unbroken = [n for n in words if n <= width // 2] if place < table.names else []
            least = min(natural, max([NARROW, *unbroken]))
        else:
            least = max(map(cell_len, [*" ".join(heading(column)).split(" "), *texts]))
        result.append((least, natural))
    return result


def heading(column: Column) -> list[str]:
    """A column's heading, with no line break before an arrow."""
    return [text.replace(" ↑", "\xa0↑").replace(" ↓", "\xa0↓") for text in column.heading]


def lines_of(table: Table, width: int, bold: str) -> list[str]:
    """The lines of one block; the first columns get what is left of the width."""
    found, columns = widths(table, width), table.columns
    sizes = [least for least, _ in found]
    for place, (least, natural) in enumerate(found):
        left = width - sum(sizes) - len(GAP) * (len(sizes) - 1)
        sizes[place] += max(0, min(left, natural - least))
    heads = [
        [line for text in heading(column) for line in aligned(text, size, column)]
        for column, size in zip(columns, sizes, strict=True)
    ]
    lines = [bold.format(line.replace("\xa0", " ")) for line in joined(heads, sizes)]
    for row in table.cells():
        highlighted = row[0].main == table.highlighted
        parts = []
        for cell, size, column in zip(row, sizes, columns, strict=True):
            parts.append(aligned(str(cell), size, column))
            if cell.bold and not highlighted:
                parts[-1][0] = parts[-1][0].replace(cell.main, bold.format(cell.main), 1)
        lines += [bold.format(x) if highlighted else x for x in joined(parts, sizes)]
    return lines


def aligned(text: str, size: int, column: Column) -> list[str]:
    """Lines of this width: text to the left, continued with an indent; numbers to the right."""
    is_text, lines = column.kind == "text", [text]
    if cell_len(text) > size:
        indent = " " if is_text else ""
        lines = wrap(
            text, size, subsequent_indent=indent, break_long_words=is_text, break_on_hyphens=False
        )
    padded = [(line, " " * (size - cell_len(line))) for line in lines]
    return [line + rest if is_text else rest + line for line, rest in padded]


def joined(columns: Sequence[Sequence[str]], sizes: Sequence[int]) -> list[str]:
    """The lines of a row."""
    return [
        GAP.join(text or " " * size for text, size in zip(line, sizes, strict=True)).rstrip()
        for line in zip_longest(*columns)
    ]
