"""Small runs of every kind through the command line, and the numbers that each leaves.

What a run writes is read in `record_numbers` and `prediction_numbers` alone, and the command line
is entered in `command` alone: they are what follows a change of format.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before huggingface_hub is imported

import numpy as np
import pyarrow.parquet as pq
import torch
from threadpoolctl import threadpool_limits

from tests.checkpoints import FAMILIES, make, save_progen2, save_proteinglm
from tests.command_line import run_cli

Numbers = dict[str, int | float]
Versions = dict[str, int | float]
Predictions = dict[str, np.ndarray]
"""Row, named by its seed, test set and id -> what was predicted of it, float32."""

COSTS = ("forward_flops", "backward_flops", "tokens", "chains", "trained_parameters")
NOTES = ("changes", "also_in_train", "chains_in_train")

EPOCH = "method.epochs=1 method.hidden=[8] method.lr=0.01"
EPOCHS = EPOCH.replace("=1", "=2", 1)
WEAK = "method.penalties=[10,1]"
"""With the strongest penalty all models would answer nearly the same."""
NATURE = "task.reference={folder}/nature.fasta task.source=file:{folder}/held_out.fasta task.num=10"
SAMPLED = f"{NATURE} task.judge=bigram method.max_length=28"
REFILLED = SAMPLED.replace("28", "40")
CASES: dict[str, str] = {
    "real onehot linear": "",
    "real blosum62 linear": "",
    "real random mlp seeds": f"seeds=0,1 {EPOCHS}",
    "binary onehot linear limit": "limit=20",
    "binary kmer linear": "method.penalties=[100,1]",
    "classes onehot linear": "",
    "classes esm2 finetune": f"{EPOCHS} method.class_weights=balanced method.schedule=cosine",
    "labels kmer linear": "",
    "labels esm2 mlp": EPOCHS,
    "labels gpt2 finetune": f"{EPOCH} method.clip=0.5",
    "apart esm2 linear": WEAK,
    "apart esm2 lora": EPOCH,
    "joined esm2 linear": WEAK,
    "joined mlm lora": f"{EPOCH} method.weight_decay=0.1",
    "folds kmer linear": "",
    "several esm2 linear": "seeds=0,1",
    "several esm2 lora": f"seeds=0,1 {EPOCHS}",
    "antibody kmer linear": "",
    "numbers onehot linear": "",
    "numbers protbert finetune": EPOCH,
    "letters esm2 linear": "method.max_residues=400",
    "q8 blosum62 linear": "",
    "q8 esm2 mlp": EPOCH,
    "q3 progen2 linear": "",
    "q3 esm2 lora": f"{EPOCHS} method.use_rslora=true method.gradient_checkpointing=true",
    "contacts esm2 linear": "method.pairs_per_chain=100 method.max_chains=15",
    "contacts onehot mlp": EPOCH,
    "contacts esm2 lora": EPOCH,
    "contacts esm2 attention": "method.inverse_penalty=10",
    "contacts clm attention": "method.inverse_penalty=10",
    "contacts esm2 contact_head": "",
    "left unigram zero_shot": "",
    "left bigram zero_shot": "",
    "left progen2 zero_shot": "",
    "left clm zero_shot": "",
    "left gpt2 zero_shot": "",
    "both unigram zero_shot": "",
    "both neighbours zero_shot": "",
    "both esm2 zero_shot": "",
    "both mlm zero_shot": "task.positions=null",
    "left bigram zero_shot bits": "task.metrics=[perplexity,bits_per_residue]",
    "unmasked esm2 zero_shot": "",
    "variant_effect esm2 zero_shot": "task.reference={folder}/reference.csv",
    "variant_effect esm2 zero_shot wild_type": "method.score=wild_type_marginal",
    "variant_effect mlm zero_shot pseudo": "method.score=pseudo_log_likelihood",
    "variant_effect progen2 zero_shot": "task.max_length=30",
    "variant_effect clm zero_shot": "",
    "variant_effect esm2 linear": "task.folds=random",
    "variant_effect onehot linear": "task.folds=contiguous",
    "variant_effect esm2 mlp": f"task.folds=modulo {EPOCH}",
    "binary esm2 linear start": f"{WEAK} model.pooling=start",
    "binary esm2 linear last": f"{WEAK} model.pooling=last",
    "binary esm2 linear middle": f"{WEAK} model.layer=1",
    **{f"binary {name} linear": WEAK for name in (*FAMILIES, "mlm", "clm", "progen2")},
    "near kmer linear audit": "",
    "near none nearest": "",
    "contacts none nearest": "",
    "apart none nearest": "",
    "variant_effect none nearest": "task.folds=random",
    "generation none natural": f"{NATURE} task.judge=pocket_clm_s task.dimensions=1",
    "generation none shuffled": f"{NATURE} task.judge=neighbours",
    "generation bigram sample": f"{NATURE} task.judge=bigram method.max_length=60",
    "generation clm sample": f"{SAMPLED} method.top_p=0.9 method.temperature=0.8",
    "generation progen2 sample reject": f"{SAMPLED} method.reject=0.5 method.top_k=8 "
    "method.repetition_penalty=1.2 method.no_repeat_ngram=2",
    "generation mlm sample": f"{REFILLED} method.passes=4",
    "generation esm2 sample confidence": f"{REFILLED} method.passes=3 method.order=confidence",
}
"""Task, model, method, and a word that separates cases of the same three; then further words."""


def model_words(model: str, folder: Path) -> list[str]:
    """The words that choose a model."""
    path, family = folder / model, "huggingface"
    if model in FAMILIES:
        if not path.exists():
            make(model, path)
    elif model in ("mlm", "clm"):
        path, family = save_proteinglm(folder, is_causal=model == "clm"), "proteinglm"
    elif model == "progen2":
        path, family = save_progen2(folder), "progen2"
    elif model == "random":
        return ["model=random", "model.layers=2", "model.dim=16", "model.heads=4"]
    else:
        return [f"model={model}"]
    return [f"model={family}", f"model.path={path}"]


def command(words: list[str]) -> None:
    """Run the command line in this process with one thread; it must succeed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            done = run_cli(*words, cwd=Path.cwd())
    finally:
        torch.set_num_threads(threads)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}\n{done.stdout}{done.stderr}")


def flat(value: object, name: str) -> Iterator[tuple[str, int | float]]:
    """Every number in a tree of mappings and lists, by its path."""
    if isinstance(value, Mapping | list):
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, part in pairs:
            yield from flat(part, f"{name}/{key}")
    elif isinstance(value, int | float):
        yield name, value


def record_numbers(file: Path) -> Numbers:
    """Scores, choices and counts of a Record; no time, memory, digest or path."""
    record = json.loads(file.read_text(encoding="utf-8"))
    numbers = {
        name: record[name] for name in ("scores", "intervals", "units", "scored", "examples")
    }
    choices = {k: v for k, v in record["choices"].items() if k != "tokens_per_second"}
    numbers |= {"strata": record["strata"], "choices": choices}
    numbers |= {name: record["data_report"].get(name) for name in NOTES}
    numbers |= {"cost": {name: record["usage"].get(name) for name in COSTS}}
    return dict(flat(numbers, f"seed{record['seed']}"))


def record_versions(file: Path) -> Versions:
    """The versions that were declared for a run: of task, model, method, each metric, and so on."""
    identity = json.loads(file.read_text(encoding="utf-8"))["identity"]
    judge = {"judge": identity["judge"]["version"]} if "judge" in identity else {}
    return dict(flat(identity["versions"] | judge, "versions"))


def prediction_numbers(file: Path) -> Predictions:
    """What was predicted of each test row; of contacts the ranked pairs, range after range."""
    found = {}
    for row in pq.read_table(file).to_pylist():
        columns = ("prediction",) if "prediction" in row else ("i", "j", "score", "hit")
        columns = ("log_likelihood", "judge", "identity") if "sequence" in row else columns
        numbers = [np.asarray(row[column], np.float32).ravel() for column in columns]
        found[f"{file.stem} {row['test']} {row['id']}"] = np.concatenate(numbers)
    return found


def run_case(name: str, folder: Path) -> tuple[Versions, Numbers, Predictions]:
    """Run a case in a folder that was prepared; give its versions and the numbers of all seeds."""
    task, model, method, *rest = name.split()
    results = folder / "results" / name.replace(" ", "-")
    given = [f"--config-dir={folder / 'conf'}", f"task={task}", f"results={results}"]
    if task == "variant_effect":
        given.append(f"task.source=file:{folder / 'assays'}")
    words = [*given, *model_words(model, folder), f"method={method}", "device=cpu", "store=off"]
    command([*words, *CASES[name].format(folder=folder).split()])
    if "audit" in rest:
        command(["audit", *given])
    versions, numbers, predictions = Versions(), Numbers(), Predictions()
    for file in sorted(results.rglob("seed*.json")):
        versions |= record_versions(file)
        numbers |= record_numbers(file)
        predictions |= prediction_numbers(file.with_suffix(".parquet"))
    return versions, numbers, predictions
