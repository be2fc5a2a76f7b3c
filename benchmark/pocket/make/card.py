"""Write the checkpoints' model cards: `python -m benchmark.pocket.make.card --results results`.

A card shows the training's own files (`recipe.json`, `log.csv`) and the held-out perplexity, from
the Records of all sizes and of the n-gram baselines; perplexity.png shows them in one figure.
"""

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import UserError
from benchmark.files import replacing
from benchmark.pocket import FOLDER
from benchmark.pocket.make.script import one_sentence
from benchmark.report.cells import column_of
from benchmark.results.record import Record
from benchmark.results.storage import load_all

CHECKPOINTS = FOLDER / "checkpoints"
TASKS = {"masked": "pocket_pseudo_perplexity", "causal": "pocket_perplexity"}
ARCHITECTURES = {"masked": "`EsmForMaskedLM`, as ESM-2", "causal": "`LlamaForCausalLM`"}
BASELINES = {"masked": ("unigram", "neighbours"), "causal": ("unigram", "bigram")}
MEASURES = {
    "masked": "Pseudo-perplexity: one residue masked at a time, {positions} of each protein",
    "causal": "Next-token perplexity",
}
NOTES = {
    "masked": "The masked models have not left their plateau: the loss falls little after "
    "16 million tokens, of which 15 % are predicted, and larger models are no better.",
    "causal": "Training proteins have close relatives in the corpus, held-out ones were separated "
    "from theirs: the gap between the two losses is the redundancy of families.",
}
FACTS = ("parameters", "training_tokens")
LOSSES = 10
"""Largest number of rows in the table of losses."""


def card(folder: Path, records: Sequence[Record]) -> str:
    """The card of one checkpoint, as Markdown."""
    recipe = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    log = (folder / "log.csv").read_text(encoding="utf-8")
    objective = recipe["objective"]
    name = f"pocket_{folder.name}"
    measured = perplexities(objective, records)
    for needed in (name, *BASELINES[objective]):
        if needed not in measured:
            raise UserError(
                f"there is no Record of task={TASKS[objective]} model={needed}; run it first"
            )
    if len({(column_of(r).question, r.version) for r in measured.values()}) > 1:
        raise UserError(
            f"the newest Records of {', '.join(measured)} are of different data or settings of "
            "their task; run them again with the same"
        )
    newest = {r.task: r.backbone["digest"] for r in records if r.model == name and r.limit is None}
    if len(set(newest.values())) > 1:
        raise UserError(
            f"the Records of model={name} are of different weights; run {', '.join(newest)} again"
        )
    return "\n".join(
        [
            "---",
            "license: cc-by-4.0",
            "library_name: transformers",
            "---",
            "",
            f"# {name}",
            "",
            f"A small {objective} language model of proteins that ships with the benchmark, so "
            "that all of it can be tried offline: likelihoods, sampling, scaling, comparisons. It "
            "is not meant for biology. Made by `python -m benchmark.pocket.make.card`.",
            "",
            *settings(recipe),
            "",
            "The proteins are Swiss-Prot's of January 2014 (UniProt Consortium, CC BY 4.0), "
            "without the held-out ones, and without what is 50 % identical or more to a valid or "
            "test protein of the embedded tasks; `../../README.md` describes how, and what that "
            "misses. `python -m benchmark.pocket.make.train` is the training script.",
            "",
            "## Loss",
            "",
            f"In nats, on batches of {recipe['batch_tokens']:,} tokens, and on 60 of the held-out "
            "proteins below, the first 15 of each band"
            + (
                " (a tenth of the residues to predict is not masked)."
                if objective == "masked"
                else "."
            ),
            "",
            *losses(list(csv.DictReader(log.splitlines()))),
            "",
            NOTES[objective],
            "",
            "## Perplexity on held-out proteins",
            "",
            MEASURES[objective].format(**measured[name].config["task"])
            + ", among the 20 residues; lower is better; a uniform guess has 20. By identity in "
            "% to the nearest training protein (no-hit: MMseqs2 finds none), with 95 % intervals "
            "over homology clusters. N: parameters, D: training tokens.",
            "",
            *bands(name, measured),
            "",
            *best(measured),
            *verdicts(name, measured, BASELINES[objective]),
            "",
        ]
    )


def settings(recipe: dict[str, Any]) -> list[str]:
    """Table of architecture, training settings and compute."""
    cost = recipe["cost"]
    rows = {
        "architecture": f"{ARCHITECTURES[recipe['objective']]}: {recipe['layers']} layers of width "
        f"{recipe['dim']}, {recipe['heads']} heads; ESM-2's vocabulary",
        "parameters N": f"{cost['parameters']:,}, in matrices; the decoder, which is the "
        "embedding, counts too",
        "tokens D": f"{cost['tokens']:,}, at most {recipe['crop']} residues of a chain",
        "optimiser": f"AdamW, {round(recipe['tokens'] / recipe['batch_tokens']):,} steps of "
        f"{recipe['batch_tokens']:,} tokens; rate {recipe['lr']:g} at its peak after "
        f"{recipe['warmup']:.0%} of the steps, then a cosine to a tenth; weight decay "
        f"{recipe['weight_decay']:g}, gradients clipped at {recipe['clip']:g}; "
        f"{recipe['precision']}",
        "training FLOPs, 6 N D": f"{cost['flops_6nd']:.2e}",
        "training FLOPs, attention counted": f"{cost['flops_exact']:.2e}",
    }
    return ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())]


def losses(log: list[dict[str, str]]) -> list[str]:
    """Table of the training's log: every n-th row, counted from the last."""
    apart = -(-len(log) // LOSSES)
    return [
        "| tokens | train | held out |",
        "|---|---|---|",
        *(
            f"| {int(row['tokens']):,} | {float(row['train']):.3f} | {float(row['held_out']):.3f} |"
            for row in log[::-1][::apart][::-1]
        ),
    ]


def perplexities(objective: str, records: Sequence[Record]) -> dict[str, Record]:
    """The newest Record of each baseline and of each pocket model."""
    return {
        record.model: record
        for record in records
        if record.task == TASKS[objective]
        and record.limit is None
        and record.model.startswith((*BASELINES[objective], "pocket_"))
    }


def bands(name: str, measured: dict[str, Record]) -> list[str]:
    """Table of perplexity by model and band; the worst mean comes first."""
    tests = [test for test in measured[name].scores if test != "mean"]
    lines = [["model", "N", "D", *tests], ["---"] * (len(tests) + 3)]
    for model, record in sorted(measured.items(), key=lambda item: -score(item[1], "mean")):
        found = [(score(record, test), record.intervals[test][record.primary]) for test in tests]
        values = [f"{value:.2f} [{low:.2f}, {high:.2f}]" for value, (low, high) in found]
        facts = record.config["model"].get("facts", {})
        size = [f"{facts[key]:,}" if key in facts else "–" for key in FACTS]
        lines.append([f"**{model}**" if model == name else model, *size, *values])
    return ["| " + " | ".join(line) + " |" for line in lines]


def verdicts(name: str, measured: dict[str, Record], baselines: Sequence[str]) -> list[str]:
    """Bands in which the model is not better than each baseline."""
    lines = []
    for baseline in baselines:
        bad = [
            test
            for test in measured[name].scores
            if score(measured[name], test) >= score(measured[baseline], test)
        ]
        where = f"**not** in {', '.join(bad)}" if bad else "everywhere"
        lines.append(f"- Below {baseline}: {where}.")
    return lines


def best(measured: dict[str, Record]) -> list[str]:
    """The pocket model with the lowest perplexity in each band."""
    models = [record for model, record in measured.items() if model.startswith("pocket_")]
    found = [
        f"{min((score(record, test), record.model) for record in models)[1]} in {test}"
        for test in models[0].scores
        if test != "mean"
    ]
    return [f"- Lowest: {', '.join(found)}."]


def figure(records: Sequence[Record], file: Path) -> None:
    """Perplexity against identity: six models and their baselines, a panel per objective."""
    import matplotlib.pyplot as plt

    drawing, panels = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for panel, objective in zip(panels, TASKS, strict=True):
        measured = perplexities(objective, records)
        for model, record in sorted(measured.items(), key=lambda item: -score(item[1], "70-90")):
            tests = [test for test in record.scores if test != "mean"]
            middle = [score(record, test) for test in tests]
            ends = np.array([record.intervals[test][record.primary] for test in tests]).T
            style = {
                "fmt": "o-" if model.startswith("pocket_") else "o:",
                "ms": 3,
                "lw": 1,
                "capsize": 2,
            }
            panel.errorbar(tests, middle, abs(ends - middle), label=model, **style)
        panel.set(title=objective, xlabel="identity to the nearest training protein, %")
        panel.legend(fontsize=6)
    panels[0].set_ylabel("pseudo-perplexity or perplexity")
    drawing.savefig(file, dpi=100, metadata={"Software": None})
    plt.close(drawing)


def score(record: Record, test: str) -> float:
    """The perplexity."""
    return record.scores[test][record.primary]


def main() -> None:
    """Write all cards."""
    parser = argparse.ArgumentParser(description="Write the pocket checkpoints' model cards.")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of Records")
    records = load_all(parser.parse_args().results)
    with one_sentence():
        for folder in sorted(path for path in CHECKPOINTS.iterdir() if path.is_dir()):
            text = card(folder, records)
            with replacing(folder / "README.md") as file:
                file.write_text(text, encoding="utf-8")
        figure(records, FOLDER / "perplexity.png")


if __name__ == "__main__":
    main()
