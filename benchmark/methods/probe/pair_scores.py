"""Scores of all pairs of a chain's residues by a linear model on pair features."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmark.core import Float32
from benchmark.embedding.features import SEPARATIONS, separation_bins

if TYPE_CHECKING:
    import torch


class PairScorer:
    """`write_pair_features(...) @ weights + bias` without the features, in float64.

    The scores of products and of sums are matrix products. Those of absolute differences are
    city-block distances between vectors scaled by the weights, as |w| |a - b| = |w a - w b|:
    columns with positive and with negative weights have one each.

    weights: (3 x dim + bins,). device: where scores are computed.
    """

    def __init__(self, weights: NDArray[np.float64], bias: float, device: str) -> None:
        import torch

        parts = np.split(weights[: -len(SEPARATIONS)], 3)
        product, distance, total = (torch.from_numpy(part).to(device) for part in parts)
        self.product, self.distance, self.total = product, distance, total
        self.signs = [torch.from_numpy(np.flatnonzero(s * parts[1] > 0)) for s in (1, -1)]
        self.near = np.append(weights[-len(SEPARATIONS) :], 0.0) + bias  # the last: no bin

    def __call__(self, residues: Float32, first: int) -> NDArray[np.float64]:
        """Scores of the pairs with j - i >= first, (m,), as `triu_indices(L, first)`."""
        import torch

        length = len(residues)
        with torch.inference_mode():
            vectors = torch.tensor(residues, dtype=torch.float64, device=self.product.device)
            scores = (vectors * self.product) @ vectors.T
            sums = vectors @ self.total
            scores += sums[:, None] + sums
            positive, negative = (self.distances(vectors, columns) for columns in self.signs)
            i, j = torch.triu_indices(length, length, 1, device=scores.device)
            scores[i, j] += positive - negative
            upper = torch.triu_indices(length, length, first, device=scores.device)
            found: NDArray[np.float64] = scores[upper[0], upper[1]].cpu().numpy()
        near = self.near[separation_bins(np.arange(length))]
        rows, columns = np.triu_indices(length, first)
        found += near[columns - rows]
        return found

    def distances(self, vectors: "torch.Tensor", columns: "torch.Tensor") -> "torch.Tensor":
        """Summed weighted differences in some columns, of all pairs i < j."""
        from torch.nn.functional import pdist

        columns = columns.to(vectors.device)
        return pdist(vectors[:, columns] * self.distance[columns], 1)
