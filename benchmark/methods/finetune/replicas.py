"""Several processes train equal copies of the weights."""

from collections.abc import Mapping
from hashlib import sha256

import torch

from benchmark.core import UserError
from benchmark.distributed import all_gather, world_size


def check_replicas(tensors: Mapping[str, torch.Tensor], when: str) -> None:
    """Refuse to go on if the processes have different tensors; `when` names the time."""
    if world_size() == 1:
        return
    mine = sha256()
    for tensor in tensors.values():
        mine.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    digests = [digest for (digest,) in all_gather([mine.hexdigest()])]
    if other := [number for number, digest in enumerate(digests) if digest != digests[0]]:
        raise UserError(
            f"process {other[0]} has other weights than process 0 {when} of the training; "
            "use GPUs of one kind and one version of each library, or one process"
        )
