"""Choices of task, model and method that do not go together, found before anything is loaded."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from benchmark.core import Task, UserError
from benchmark.core.backbone import ABILITIES, Ability, Backbone

BASELINES = "benchmark.backbones.baselines."
CONTACTS: dict[str, Ability] = {"Attention": "attention_maps", "OwnContacts": "contact_head"}
"""Our methods that predict contacts alone."""
PROBES = ("Linear", "Mlp")
TUNING = ("Lora", "Finetune")


def check_combination(task: object, config: Mapping[str, Any], choices: Mapping[str, str]) -> None:
    """Refuse what the settings alone show; classes of a user's own are asked when they are made."""
    target = str(config["method"].get("_target_"))
    solver = target.rpartition(".")[2] if target.startswith("benchmark.methods.") else ""
    if not isinstance(task, Task) or not solver:
        return
    readout, wanted = task.readout, f"method={choices['method']}"
    if (readout.kind == "likelihood") != (solver == "ZeroShot") and readout.level != "variant":
        if solver != "ZeroShot":
            raise UserError(
                f"task={choices['task']} scores the likelihood of residues by the language model "
                f"itself, which {wanted} does not predict; omit method=, or give method=zero_shot"
            )
        raise UserError(
            f"{wanted} scores variants or the likelihood of residues; give task=variant_effect, "
            "perplexity or pseudo_perplexity, or another method"
        )
    if solver in CONTACTS and readout.level != "pair":
        raise UserError(
            f"{wanted} predicts contacts, and task={choices['task']} asks for another answer; give "
            "a contact task, or another method"
        )
    if solver != "ZeroShot" and getattr(task, "folds", "") is None:
        raise UserError(
            f"task={choices['task']} has no train examples for {wanted}; give task.folds=random "
            "(or contiguous, modulo), or method=zero_shot"
        )
    needed = CONTACTS.get(solver)
    if solver in PROBES:
        pooled = readout.level in ("protein", "variant")
        needed = "protein_embeddings" if pooled else "residue_embeddings"
    module, _, name = str(config["model"].get("_target_")).rpartition(".")
    if not module.startswith(BASELINES) or name == "Random":  # which is a transformer
        return
    if solver in TUNING:
        raise UserError(
            f"{wanted} trains a transformer's weights, and model={choices['model']} has none; "
            "choose another model, or method=linear or mlp"
        )
    ability = needed and ABILITIES[needed]
    made = getattr(import_module(module), name, Backbone)
    if ability and getattr(made, ability[0]) is getattr(Backbone, ability[0]):
        raise UserError(
            f"{wanted} on task={choices['task']} needs {ability[1]}, and model={choices['model']} "
            "has none; choose another model, or another method"
        )
