"""Where examples come from: the hub, a mirror of it, the package itself, or a file of the user's.

`source:` in a task's yaml is one of

- `hub:<org>/<name>`: read with the `datasets` library; with `mirror=DIR` (or BENCHMARK_MIRROR) the
  same code reads DIR/<org>/<name>/{train,valid,test}.parquet or .csv, and test.<name>.* beside;
- `package:<name>.parquet`: small real data inside this package (benchmark/pocket);
- `file:PATH`: a folder laid out like a mirror, or one .parquet or .csv file with a column `split`.
"""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.core import RESIDUES, Array, Chains, Example, Readout, Splits, UserError

if TYPE_CHECKING:
    import pyarrow as pa

AMBIGUOUS = "BJOUXZ"
"""IUPAC letters that are a residue but not one of the 20; allowed, and counted."""
CHAIN_BREAK = "|"
FORMATS = (".parquet", ".csv")
VALID_SHARE = 0.1
VALID_NAMES = ("valid", "validation", "val", "dev")


@dataclass
class Changes:
    """How many rows of a split are not as the source has them; the task limits each kind."""

    rows: int = 0
    truncated: int = 0
    residues_cut: int = 0
    unknown_letters: int = 0
    unknown_labels: int = 0
    unknown_answers: int = 0


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of sequences and labels, and how it becomes examples. The fields are a task's yaml.

    columns: names of the columns "sequence", "label" and "group"; rows with the same chains are one
        unit, with or without a group.
    max_length: longer chains are cut to their first `max_length` residues.
    allow: share of a split's rows that may be "truncated", hold "unknown_letters", or have
        "unknown_labels"; more of them, and the run fails.
    sizes: examples per split as published.
    mirror: folder that stands for the hub.
    """

    source: str
    revision: str | None
    columns: Mapping[str, str | None]
    max_length: int | None
    allow: Mapping[str, float]
    sizes: Mapping[str, int]
    mirror: str | None

    def read(self, parse: Callable[[Any, Chains], Array], readout: Readout) -> Splits:
        """Read every split; `parse` makes a label of a cell, its ValueError says what is wrong.

        A source without a validation split gives 10 % of its train groups, always the same ones.
        """
        tables, notes = read_tables(self.source, self.mirror, self.revision)
        splits, changes = {}, {}
        for name, table in tables.items():
            splits[name], changes[name] = self._examples(name, table, parse, readout)
        counts = {len(example.chains) for examples in splits.values() for example in examples}
        if len(counts) > 1:
            raise UserError(
                f"{self.source} has rows of {min(counts)} and of {max(counts)} chains; "
                "every row needs the same number"
            )
        sizes = {name: len(splits.get(name, ())) for name in self.sizes}
        if sizes != self.sizes:
            notes["published_sizes"] = dict(self.sizes)
            if self.source.startswith("package:"):
                raise UserError(
                    f"{self.source} has {sizes} examples instead of {dict(self.sizes)}; "
                    "install the package again"
                )
        train, valid = splits.pop("train"), splits.pop("valid", None)
        if valid is None:
            train, valid = carve(train, VALID_SHARE)
            notes["valid"] = f"{VALID_SHARE:.0%} of the train groups; the source has no valid"
        seen = {example.chains for example in train}
        also = {name: sum(e.chains in seen for e in examples) for name, examples in splits.items()}
        notes["also_in_train"] = {name: count for name, count in also.items() if count}
        notes["changes"] = {
            name: {k: v for k, v in vars(change).items() if v} for name, change in changes.items()
        }
        return Splits(train, valid, splits, notes)

    def _examples(
        self,
        split: str,
        table: "pa.Table",
        parse: Callable[[Any, Chains], Array],
        readout: Readout,
    ) -> tuple[list[Example], Changes]:
        names = [self.columns.get(role) for role in ("sequence", "label", "group")]
        if missing := [name for name in names if name and name not in table.column_names]:
            raise UserError(
                f"{self.source}, split {split}, has no column {missing[0]!r}; it has "
                f"{', '.join(table.column_names)}; name the right one in the task's yaml"
            )
        sequence_column, label_column, group_column = names
        sequences, labels = table[sequence_column].to_pylist(), cells(table[label_column])
        groups = table[group_column].to_pylist() if group_column else None
        changes, seen, examples = Changes(rows=table.num_rows), Counter[Chains](), []
        for row, (sequence, cell) in enumerate(zip(sequences, labels, strict=True)):
            where = f"row {row} of split {split} of {self.source}"
            whole = read_chains(sequence, where)
            try:
                answer = parse(cell, whole)
            except (ValueError, TypeError) as error:
                raise UserError(f"{where}: {error}") from None
            chains = tuple(chain[: self.max_length] for chain in whole)
            if chains != whole:
                changes.truncated += 1
                changes.residues_cut += sum(map(len, whole)) - sum(map(len, chains))
                answer = cut_label(answer, readout.level, len(chains[0]))
            changes.unknown_letters += any(set(chain) - set(RESIDUES) for chain in chains)
            unknown = np.isnan(answer) if readout.kind == "real" else answer == -1
            changes.unknown_labels += bool(np.size(unknown) and np.all(unknown))
            changes.unknown_answers += int(np.sum(unknown))
            name = digest(*chains)
            given = None if groups is None else groups[row]
            group = name if given is None or given != given else str(given)
            examples.append(Example(chains, answer, f"{name}-{seen[chains]}", group))
            seen[chains] += 1
        if groups is not None:
            examples = joined(examples)
        if not examples:
            raise UserError(f"split {split} of {self.source} is empty; it needs at least one row")
        for kind in ("truncated", "unknown_letters", "unknown_labels"):
            count, share = getattr(changes, kind), self.allow.get(kind, 0.0)
            if count > share * changes.rows:
                raise UserError(
                    f"{count} of {changes.rows} rows of split {split} of {self.source} are "
                    f"{kind.replace('_', ' ')}, more than the task allows ({share:.0%}); "
                    f"mend the data or raise task.allow.{kind}"
                )
        return examples, changes


def joined(examples: list[Example]) -> list[Example]:
    """Make one group of groups that share chains: such rows must not be told apart."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    groups, group = np.unique([example.group for example in examples], return_inverse=True)
    names = {chains: row for row, chains in enumerate({e.chains: None for e in examples})}
    chain = [names[example.chains] for example in examples]
    links = coo_array(
        (np.ones(len(group)), (group, chain)), shape=(len(groups), len(names))
    ).tocsr()
    _, part = connected_components(links @ links.T, directed=False)
    first = {int(p): str(name) for p, name in zip(part[::-1], groups[::-1], strict=True)}
    return [e._replace(group=first[int(part[g])]) for e, g in zip(examples, group, strict=True)]


def digest(*parts: str | bytes) -> str:
    """Short stable digest of a sequence of strings; 16 hex digits."""
    state = blake2b(digest_size=8)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()


def digest_examples(examples: Iterable[Example]) -> str:
    """Digest of a split's content: chains, labels and groups, in order."""
    state = blake2b(digest_size=8)
    for example in examples:
        label = np.asarray(example.label)
        state.update(f"{example.id} {example.group} {label.dtype} {label.shape}".encode())
        state.update(label.tobytes())
    return state.hexdigest()


def read_chains(sequence: object, where: str) -> Chains:
    """Split a cell into its chains and check every letter."""
    if not isinstance(sequence, str) or not sequence.strip():
        raise UserError(f"{where} has no sequence; every row needs one, in one-letter code")
    letters = sequence.strip()
    chains = tuple((letters.upper() if letters.isascii() else letters).split(CHAIN_BREAK))
    for chain in chains:
        if not chain:
            raise UserError(f"{where} has an empty chain; remove the extra {CHAIN_BREAK!r}")
        if wrong := set(chain) - set(RESIDUES) - set(AMBIGUOUS):
            raise UserError(
                f"{where} has the letter {min(wrong)!r}; allowed are {RESIDUES}, the ambiguous "
                f"{AMBIGUOUS}, and {CHAIN_BREAK!r} between chains"
            )
    return chains


def cut_label(label: Array, level: str, length: int) -> Array:
    """Cut a label as its chain was cut to `length` residues."""
    if level == "pair":
        return label[(label < length).all(axis=1)]
    return label[:length] if level == "residue" else label


def cells(column: "pa.ChunkedArray") -> Iterable[Any]:
    """A column's values; lists come as NumPy arrays, lists of pairs as (m, 2)."""
    import pyarrow as pa

    def is_list(kind: pa.DataType) -> bool:
        return bool(
            pa.types.is_list(kind)
            or pa.types.is_large_list(kind)
            or pa.types.is_fixed_size_list(kind)
        )

    if not is_list(column.type):
        return list(column.to_pylist())
    if not is_list(column.type.value_type):
        return [cell.values.to_numpy(False) if cell.is_valid else None for cell in column]
    return [as_matrix(cell.values) if cell.is_valid else None for cell in column]


def as_matrix(rows: "pa.ListArray") -> Array:
    """A list of lists of one length as (rows, length); of several lengths as objects."""
    lengths = rows.value_lengths().to_numpy(False)
    if len(lengths) and (lengths == lengths[0]).all():
        return np.asarray(rows.flatten().to_numpy(False)).reshape(len(lengths), -1)
    return np.array([None, *rows.to_pylist()], dtype=object)[1:]


def carve(train: Sequence[Example], share: float) -> tuple[list[Example], list[Example]]:
    """Set aside whole groups, about `share` of the rows, as valid; always the same ones."""
    rows = defaultdict(list)
    for example in train:
        rows[example.group].append(example)
    chosen: set[str] = set()
    wanted = share * len(train)
    for group in sorted(rows, key=lambda name: digest("valid", name)):
        if wanted < len(rows[group]) / 2:
            break
        chosen.add(group)
        wanted -= len(rows[group])
    if not chosen or len(chosen) == len(rows):
        raise UserError(
            f"cannot carve a validation split out of {len(rows)} groups of train; "
            "give the source a split named valid"
        )
    kept = [example for example in train if example.group not in chosen]
    return kept, [example for example in train if example.group in chosen]


def read_tables(
    source: str, mirror: str | None, revision: str | None
) -> tuple[dict[str, "pa.Table"], dict[str, Any]]:
    """Read a source's splits by name, train first, and notes on where they were read."""
    kind, _, name = source.partition(":")
    notes: dict[str, Any] = {"source": source}
    if kind == "hub" and not mirror:
        tables = _from_hub(name, revision, notes)
    elif kind == "hub" and mirror:
        notes["mirror"] = True
        tables = _from_files(Path(mirror) / name, f"the mirror of {name}")
    elif kind == "package":
        tables = _from_files(Path(__file__).parent / "pocket" / name, f"the embedded {name}")
    elif kind == "file":
        tables = _from_files(Path(name).expanduser(), f"the source {name}")
    else:
        raise UserError(f"source {source!r} is not known; it starts with hub:, package: or file:")
    splits: dict[str, pa.Table] = {}
    for name, table in tables.items():
        known = split_name(name, source)
        if known in splits:
            raise UserError(f"{source} has two splits that mean {known}; leave one")
        splits[known] = table
    tests = sorted(set(splits) - {"train", "valid"}, key=lambda name: (name != "test", name))
    if "train" not in splits or not tests:
        raise UserError(
            f"{source} has the splits {', '.join(tables)}; it needs at least train and test"
        )
    return {name: splits[name] for name in ("train", "valid", *tests) if name in splits}, notes


def split_name(name: object, source: str) -> str:
    """What we call a split of a source: train, valid, test, or X for a further test set test.X."""
    if name in VALID_NAMES:
        return "valid"
    first, _, further = str(name).partition(".")
    if name in ("train", "test") or (
        first == "test" and further not in ("", "train", *VALID_NAMES)
    ):
        return further or first
    raise UserError(
        f"{source} has a split {name!r}; allowed are train, {' or '.join(VALID_NAMES)}, test, and "
        "test.NAME for further test sets"
    )


def _from_files(path: Path, what: str) -> dict[str, "pa.Table"]:
    """Read a folder of split files, or one file with a column `split`."""
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.suffix.lower() in FORMATS]
        if len({file.stem for file in files}) < len(files):
            raise UserError(f"{what} holds a split in two formats; leave one of them")
        if files:
            return {file.stem: _open_file(file, what) for file in files}
        raise UserError(
            f"{what} holds no train, valid or test file; put .parquet or .csv files there"
        )
    if path.suffix.lower() not in FORMATS or not path.is_file():
        raise UserError(f"{what} is not there; give a folder, or a .parquet or .csv file")
    table = _open_file(path, what)
    if "split" not in table.column_names:
        raise UserError(f"{what} has no column 'split'; it tells train, valid and test rows apart")
    names = table["split"].to_pylist()
    return {
        str(name): table.filter([other == name for other in names]) for name in dict.fromkeys(names)
    }


def _open_file(file: Path, what: str) -> "pa.Table":
    """Open one Parquet or CSV file through `datasets`, past its cache: a changed file is seen."""
    import datasets
    from datasets.exceptions import DatasetGenerationError

    datasets.disable_progress_bars()
    kind = file.suffix[1:].lower()
    # "NA" is a peptide; only an empty cell is no value
    options = {"keep_default_na": False, "na_values": [""]} if kind == "csv" else {}
    with tempfile.TemporaryDirectory() as cache:
        try:
            loaded = datasets.load_dataset(
                kind,
                **options,
                data_files=str(file),
                cache_dir=cache,
                keep_in_memory=True,
                split="train",
            )
        except (DatasetGenerationError, ValueError, OSError) as error:
            cause = error.__cause__ or error
            if isinstance(cause, OSError) and cause.errno:
                raise cause from None  # the disk's fault, not the file's
            raise UserError(f"{what}: {file.name} is broken or not {kind}") from None
        return loaded.data.table


def _from_hub(name: str, revision: str | None, notes: dict[str, Any]) -> dict[str, "pa.Table"]:
    """Read a data set from the hub; with HF_HUB_OFFLINE=1 from an earlier download."""
    import datasets
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    datasets.enable_progress_bars()
    try:
        with suppress(OfflineModeIsEnabled):
            # asked first: it fails at once without a network, and it resolves the revision
            revision = HfApi().dataset_info(name, revision=revision, timeout=20).sha
        loaded = datasets.load_dataset(name, revision=revision)
    except Exception as error:  # the network stack below raises many unrelated types
        raise UserError(
            f"cannot get {name} from the hub ({type(error).__name__}); connect to the network, set "
            f"HF_HUB_OFFLINE=1 to use an earlier download, or give mirror=DIR with "
            f"DIR/{name}/train.parquet and test.parquet (valid.parquet if there is one)"
        ) from None
    notes["revision"] = revision or "of an earlier download"
    return {split: loaded[split].data.table for split in loaded}
