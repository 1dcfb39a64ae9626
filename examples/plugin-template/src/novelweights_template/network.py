"""A network: any `torch.nn.Module` that is made without arguments.

With `input_shape`, the shape of one example, `novelweights symmetry` derives its symmetry without
being told more.
"""

from torch import Tensor, nn


class PointClassifier(nn.Module):
    """Says on which of two moons a point of the plane lies."""

    input_shape = (2,)

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, 8)
        self.out = nn.Linear(8, 2)

    def forward(self, points: Tensor) -> Tensor:
        """Logits of the two moons."""
        return self.out(self.hidden(points).tanh())
