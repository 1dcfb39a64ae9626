import math

import pytest
import torch
from torch.nn import functional as F

from novelweights.networks.neural_field import OccupancyField
from novelweights.seeding import rng_for
from novelweights.zoos.field_fitting import FieldRecipe, fit_fields

FIELD = OccupancyField(width=8)
QUICK = FieldRecipe(points_per_step=64, steps_per_epoch=5, epochs=12, patience=1, stop_after=4)


def balls(n, p=400, seed=0):
    """Points of n balls of different sizes."""
    rng = torch.Generator().manual_seed(seed)
    points = torch.rand(n, p, 3, generator=rng) - 0.5
    radii = torch.linspace(0.2, 0.4, n)[:, None]
    return points, points.norm(dim=2) < radii


def starts(n):
    return torch.stack([FIELD.initial(rng_for(i, "initialization")) for i in range(n)])


def plain(start, points, inside, seed, recipe):
    """The same by torch's own optimizer and scheduler, one field, one module."""
    module = FIELD.module()
    module.load_state_dict(FIELD.layout.unflatten(start))
    optimizer = torch.optim.Adam(module.parameters(), lr=recipe.learning_rate)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        patience=recipe.patience,
        factor=recipe.factor,
        threshold=0,
        min_lr=recipe.least_learning_rate,
        eps=0,
    )
    best, idle = math.inf, 0
    for epoch in range(recipe.epochs):
        rng, total = rng_for(seed, epoch), 0.0
        rows = torch.randint(
            len(points), (recipe.steps_per_epoch, recipe.points_per_step), generator=rng
        )
        for picked in rows:
            logits = module(points[picked])[:, 0]
            target = inside[picked].float()
            loss = F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach())
        loss = total / rows.numel()
        scheduler.step(loss)
        best, idle = (loss, 0) if loss < best else (best, idle + 1)
        if idle == recipe.stop_after:
            break
    return FIELD.layout.flatten(dict(module.named_parameters())).detach(), epoch + 1, loss


def test_fields_are_fitted_as_by_torchs_own_optimizer_and_scheduler():
    points, inside = balls(3)
    fitted = fit_fields(FIELD, starts(3), points, inside, [5, 6, 7], QUICK)
    for i in range(3):
        weights, epochs, loss = plain(starts(3)[i], points[i], inside[i], 5 + i, QUICK)
        moved = (weights - starts(3)[i]).norm()
        assert (fitted.weights[i] - weights).norm() < 1e-3 * moved
        assert fitted.epochs[i] == epochs
        assert fitted.loss[i] == pytest.approx(loss, rel=1e-4)


def test_a_field_that_no_longer_improves_ends_and_the_others_go_on():
    points, inside = balls(3)
    hopeless = torch.rand(3, 400, generator=torch.Generator().manual_seed(1)) < 0.5
    inside = torch.stack([inside[0], hopeless[1], inside[2]])
    recipe = FieldRecipe(points_per_step=64, steps_per_epoch=5, epochs=40, stop_after=3)
    told = []
    fitted = fit_fields(FIELD, starts(3), points, inside, [5, 6, 7], recipe, tell=told.append)
    assert fitted.epochs[1] < min(fitted.epochs[0], fitted.epochs[2])
    assert sum(told) == 3 * 40
    _, epochs, _ = plain(starts(3)[1], points[1], inside[1], 6, recipe)
    assert fitted.epochs[1] == epochs


def test_a_field_is_the_same_alone_and_among_others():
    points, inside = balls(9)
    among = fit_fields(FIELD, starts(9), points, inside, list(range(9)), QUICK)
    alone = fit_fields(FIELD, starts(9)[8:], points[8:], inside[8:], [8], QUICK)
    assert torch.allclose(among.weights[8], alone.weights[0], atol=1e-5)
    assert among.epochs[8] == alone.epochs[0]


def test_what_diverges_ends_at_once_and_says_so():
    points, inside = balls(2)
    spoiled = starts(2)
    spoiled[0] = torch.nan
    fitted = fit_fields(FIELD, spoiled, points, inside, [0, 1], QUICK)
    assert math.isnan(fitted.loss[0])
    assert fitted.epochs[0] == 1
    assert math.isfinite(fitted.loss[1])
