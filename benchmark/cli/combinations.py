"""Choices of task, model and method that do not go together, found before anything is loaded."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from benchmark.core import Ability, Backbone, Method, Task, UserError
from benchmark.core.backbone import ABILITIES
from benchmark.report.cells import BASELINES
from benchmark.results.record import NO_MODEL

ABILITY_OF: dict[str, Ability] = {"Attention": "attention_maps", "OwnContacts": "contact_head"}
"""What our methods for contacts need; probes need embeddings."""


def check_training(config: Mapping[str, Any], choices: Mapping[str, str]) -> None:
    """Refuse to train a baseline without weights, before torch is imported."""
    method = str(config["method"].get("_target_"))
    if method.startswith("benchmark.methods.finetune.") and is_light(
        str(config["model"].get("_target_"))
    ):
        raise UserError(
            f"method={choices['method']} trains a transformer's weights, and "
            f"model={choices['model']} has none; choose another model, or method=linear or mlp"
        )


def is_light(target: str) -> bool:
    """Whether a model is a baseline without a transformer."""
    return target.startswith(BASELINES) and not target.endswith(".Random")


def check_combination(
    task: object, method: object, config: Mapping[str, Any], choices: Mapping[str, str]
) -> None:
    """Refuse what task, method and the settings of the model show."""
    from benchmark.methods.contacts.contact_head import require_contacts
    from benchmark.run.evaluation import require_kind

    if not isinstance(task, Task) or not isinstance(method, Method):
        return  # `Run.prepare` refuses them
    readout, wanted = task.readout, f"method={choices['method']}"
    target = str(config["model"].get("_target_"))
    if not method.uses_model and target != NO_MODEL:
        raise UserError(f"{wanted} uses no model; leave model=... out")
    require_kind(readout, method, wanted)
    if not type(method).__module__.startswith("benchmark.methods."):
        return
    solver = type(method).__name__
    needed = ABILITY_OF.get(solver)
    if needed:
        require_contacts(readout, choices["method"])
    if solver == "ZeroShot":
        if readout.level != "variant" and readout.kind != "likelihood":
            raise UserError(
                f"{wanted} scores variants or the likelihood of residues; give "
                "task=variant_effect, perplexity or pseudo_perplexity, or another method"
            )
        if readout.context == "unmasked" and is_light(target):
            raise UserError(
                f"task={choices['task']} is for masked transformers, and "
                f"model={choices['model']} is not one; give task=pseudo_perplexity"
            )
    elif getattr(task, "folds", "") is None:
        raise UserError(
            f"task={choices['task']} has no train examples for {wanted}; give task.folds=random "
            "(or contiguous, modulo), or method=zero_shot"
        )
    if not is_light(target):
        return
    if solver in ("Linear", "Mlp"):
        pooled = readout.level in ("protein", "variant")
        needed = "protein_embeddings" if pooled else "residue_embeddings"
    call, words = ABILITIES[needed] if needed else ("", "")
    module, _, name = target.rpartition(".")
    made = getattr(import_module(module), name, Backbone)
    if needed and getattr(made, call) is getattr(Backbone, call):
        raise UserError(
            f"{wanted} on task={choices['task']} needs {words}, and model={choices['model']} has "
            "none; choose another model, or another method"
        )
