"""Plain text of a given width: columns that do not fit continue in further blocks.

Text is wrapped, and numbers are never cut: a number that is wider than the terminal stays whole.
"""

import sys
from collections.abc import Sequence
from itertools import zip_longest
from textwrap import wrap

from rich.cells import cell_len

from benchmark.report.table import Cell, Column, Report, Table

GAP = "  "
NARROW = 26
"""Text is not wrapped below this width; in row names no word is broken that fits half the width."""


def render(report: Report, width: int) -> str:
    """All tables; titles, headings and the best values are bold if the output is a terminal."""
    bold = "\x1b[1m{}\x1b[0m" if sys.stdout.isatty() else "{}"
    parts = [bold.format(report.title)] if report.title else []
    parts += ["\n".join(wrap(report.text, width))] if report.text else []
    for table in report.tables:
        title = [bold.format(line) for line in wrap(table.title, width)]
        parts.append("\n".join([*title, *lines_of(table, width, bold)]))
        parts += ["\n".join(wrap(note, width)) for note in table.notes]
    return "\n\n".join(parts)


def lines_of(table: Table, width: int, bold: str) -> list[str]:
    """A table in blocks that each repeat the row names."""
    rows, lines = table.cells(), list[str]()
    widths = [
        least_and_natural(column, [row[place] for row in rows], place < table.names, width)
        for place, column in enumerate(table.columns)
    ]
    for block in folded([least for least, _ in widths], table.names, width):
        sizes = {place: widths[place][0] for place in block}
        for place in block:  # what is left of the width goes to the columns of text
            left = width - sum(sizes.values()) - len(GAP) * (len(block) - 1)
            sizes[place] += max(0, min(left, widths[place][1] - sizes[place]))
        lines += [""] if lines else []
        columns = [(table.columns[place], size) for place, size in sizes.items()]
        lines += joined([padded(heading(c, size), size, c) for c, size in columns], bold)
        for row in rows:
            here = row[0].main == table.highlighted
            cells = zip((row[place] for place in block), columns, strict=True)
            mark = "{}" if here else bold
            parts = [padded(split(str(x), s, c), s, c, x, mark) for x, (c, s) in cells]
            lines += joined(parts, bold if here else "{}")
    return lines


def least_and_natural(
    column: Column, cells: Sequence[Cell], is_name: bool, width: int
) -> tuple[int, int]:
    """The widths that a column needs, and that it takes if no text is wrapped."""
    texts = [str(cell) for cell in cells]
    if column.kind != "text":
        size = max(map(cell_len, [*heading(column, 1), *texts]))
        return size, size
    words = [cell_len(word) for text in texts for word in text.split()] if is_name else []
    natural = max(map(cell_len, [*column.heading, *texts]))
    return min(natural, max([NARROW, *(size for size in words if size <= width // 2)])), natural


def folded(sizes: Sequence[int], names: int, width: int) -> list[list[int]]:
    """The columns of each block: the names, and as many others as fit, at least one."""
    result = [list(range(names))]
    for place in range(names, len(sizes)):
        block = [*result[-1], place]
        taken = sum(sizes[p] for p in block) + len(GAP) * (len(block) - 1)
        if taken > width and len(result[-1]) > names:
            result.append([*range(names), place])
        else:
            result[-1] = block
    return result


def heading(column: Column, size: int) -> list[str]:
    """A column's heading in lines of this width; of numbers no word is broken."""
    texts = [text.replace(" ↑", "\xa0↑").replace(" ↓", "\xa0↓") for text in column.heading]
    whole = column.kind != "text"
    lines = [wrap(t, size, break_long_words=not whole, break_on_hyphens=False) for t in texts]
    return [line.replace("\xa0", " ") for text in lines for line in text]


def split(text: str, size: int, column: Column) -> list[str]:
    """Lines of at most this width, of which those that continue a text are indented."""
    if column.kind != "text" or cell_len(text) <= size:
        return [text]
    return wrap(text, max(size, 2), subsequent_indent=" ", break_on_hyphens=False)


def padded(
    lines: Sequence[str], size: int, column: Column, cell: Cell | None = None, bold: str = "{}"
) -> list[str]:
    """Lines of one width: text to the left, numbers to the right, the best one in bold."""
    result = list[str]()
    for text in lines:
        pad = " " * (size - cell_len(text))
        if cell and cell.bold and not result:
            text = bold.format(cell.main) + text[len(cell.main) :]
        result.append(text + pad if column.kind == "text" else pad + text)
    return result


def joined(parts: Sequence[Sequence[str]], bold: str) -> list[str]:
    """The lines of a row."""
    blank = [" " * cell_len(part[0]) for part in parts]
    rows = zip_longest(*parts)
    filled = [[x or y for x, y in zip(row, blank, strict=True)] for row in rows]
    return [bold.format(GAP.join(row).rstrip()) for row in filled]
