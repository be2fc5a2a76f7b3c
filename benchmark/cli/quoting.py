"""Values as people type them, quoted so that Hydra's grammar reads them as they are."""

import re
from collections.abc import Sequence

from benchmark.cli.catalogue import GROUPS
from benchmark.core import UserError

TEXT = re.compile(
    r"name|results|mirror|store|(model|task)\.(path|revision|adapter|prefix|counts|source|reference)"
)
"""Settings whose value is a text, never a list or a number."""
WORDS = ("", "null", "true", "false")
"""Values that are not texts in any setting."""
FUNCTION = re.compile(r"(choice|range|interval|glob|sort|shuffle|tag|int|float|str|bool)\(.*\)")
"""Hydra's own functions, which stay as they are."""
COMMA = re.compile(r""",(?=(?:[^'"]|'[^']*'|"[^"]*")*$)""")
"""Commas outside quotes, which separate the values of a multirun."""


def quoted(argv: Sequence[str], several: bool = False) -> list[str]:
    """The same words with their values quoted for Hydra where they need it.

    Lists, mappings, interpolations, Hydra's functions, what is quoted already, and in a multirun
    (`several`) the commas between values keep their meaning.
    """
    return [quoted_word(word, several) for word in argv]


def quoted_word(word: str, several: bool) -> str:
    """One word; a text that could mean two things is refused."""
    key, equals, value = word.partition("=")
    name = key.lstrip("+")
    if not equals or name.startswith(("-", "~", "hydra")):
        return word
    if value in WORDS or "${" in value or FUNCTION.fullmatch(value):
        return word
    is_text, parts = bool(TEXT.fullmatch(name)), COMMA.split(value)
    is_list = value[0] in "[{"
    if is_text and is_list:
        raise UserError(
            f"{word} is not a text; for several values write -m {name}=A,B, and for a path that "
            f"begins with a bracket {name}=./{value}"
        )
    if len(parts) > 1 and not is_list and not several:
        quote_it = (
            f", or quote it, as in {name}='\"{value}\"', if the comma belongs to a single one"
        )
        hint = "" if name in GROUPS else quote_it
        raise UserError(f"{word} has {len(parts)} values; add -m to run each of them{hint}")
    if name in GROUPS or (not is_text and can_parse(word)):
        return word
    if is_list:
        raise UserError(f"{word} is not readable; quote the texts in it, as in \"{key}=['a=b']\"")
    return f"{key}={','.join(map(quote, parts))}"


def can_parse(word: str) -> bool:
    """Whether Hydra's grammar accepts a word."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True


def quote(value: str) -> str:
    """A text in Hydra's quotes; one that is quoted already stays as it is."""
    from hydra.core.override_parser.types import Quote, QuotedString

    value = value.strip()
    return value if unquoted(value) != value else QuotedString(value, Quote.single).with_quotes()


def unquoted(value: str) -> str:
    """A text without the quotes around it."""
    whole = re.fullmatch(r"""(?s)(['"])(.*)\1""", value)
    return re.sub(r"\\(['\"])", r"\1", whole[2]) if whole else value
