import pytest
import torch
from methods import Interrupted, stopping_at
from refused import refused
from torch import nn

from novelweights.generators.parts.settings import TrainingSettings
from novelweights.generators.parts.training import Workspace, train


def model_and_loss(dropout=0.0):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1))
    target = torch.randn(4, 1, generator=torch.Generator().manual_seed(1))

    def loss_at(model, rng):
        x = torch.randn(16, 4, generator=rng)
        return (model(x) - x @ target).square().mean()

    return model, loss_at


def settings_for(**changes):
    return TrainingSettings(
        **{"steps": 30, "learning_rate": 1e-2, "weight_decay": 0.01, "warmup_steps": 3, **changes}
    )


def weights_of(model):
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach()


def run(folder=None, *, stop_at=None, dropout=0.0, seed=5, identity="", **changes):
    """Train to the end, or until the power is cut after `stop_at` steps."""
    model, loss_at = model_and_loss(dropout)
    workspace = Workspace(folder, stopping_at(stop_at), seconds_between_saves=0.0)
    return train(
        model,
        loss_at,
        settings_for(**changes),
        seed=seed,
        identity=identity,
        workspace=workspace,
    )


@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0.9}, {"dropout": 0.3}])
@pytest.mark.parametrize("stops", [[1], [17], [5, 17, 30]])
def test_an_interrupted_training_ends_with_the_same_bits(tmp_path, changes, stops):
    whole = run(**changes)
    for stop in stops:
        with pytest.raises(Interrupted):
            run(tmp_path, stop_at=stop, **changes)
    assert (tmp_path / "training_state.pt").exists() is (stops != [1])
    assert torch.equal(weights_of(run(tmp_path, **changes)), weights_of(whole))
    assert len((tmp_path / "loss.csv").read_text().splitlines()) == 31
    assert torch.equal(weights_of(run(tmp_path, **changes)), weights_of(whole))  # nothing to do
    assert not torch.equal(weights_of(run(seed=6, **changes)), weights_of(whole))


def test_other_settings_seeds_models_and_data_do_not_continue_it(tmp_path):
    with pytest.raises(Interrupted):
        run(tmp_path, stop_at=9, identity="data 1")
    before = (tmp_path / "training_state.pt").read_bytes()
    for changes in (
        {"identity": "data 1", "learning_rate": 1e-3},
        {"identity": "data 1", "steps": 31},
        {"identity": "data 1", "ema_decay": 0.5},
        {"identity": "data 1", "seed": 6},
        {"identity": "data 2"},
    ):
        with refused("other-settings", "training_state.pt"):
            run(tmp_path, **changes)
    assert (tmp_path / "training_state.pt").read_bytes() == before
    run(tmp_path, identity="data 1")


def test_a_damaged_state_file_is_named_and_its_code_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    with pytest.raises(Interrupted):
        run(tmp_path, stop_at=9)
    path = tmp_path / "training_state.pt"
    data = path.read_bytes()
    for content in (b"", data[: len(data) // 2], b"hello", {"weights": 3}, {"settings": Trap()}):
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        with refused("damaged", "training_state.pt"):
            run(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_the_loss_goes_down_and_is_logged(tmp_path):
    run(tmp_path, steps=400)
    header, *rows = (tmp_path / "loss.csv").read_text().splitlines()
    assert header == "step,loss"
    steps, losses = zip(*(map(float, row.split(",")) for row in rows), strict=True)
    assert list(steps) == list(range(2, 401, 2))
    assert losses[-1] < 0.1 * losses[0]


def test_a_diverging_loss_is_an_input_error():
    model, loss_at = model_and_loss()
    with refused("not-finite", "1e+30"):
        train(model, loss_at, settings_for(learning_rate=1e30, warmup_steps=0), seed=0)
    with refused("not-finite", "nan", "step 1"):
        train(model, lambda m, rng: loss_at(m, rng) * float("nan"), settings_for(), seed=0)


def test_the_moving_average_is_that_of_the_weights():
    decay, seen = 0.8, []
    model, loss_at = model_and_loss()
    start = weights_of(model).clone()

    def watched(model, rng):
        seen.append(weights_of(model).clone())
        return loss_at(model, rng)

    averaged = weights_of(train(model, watched, settings_for(steps=6, ema_decay=decay), seed=1))
    plain, loss_at = model_and_loss()
    last = weights_of(train(plain, loss_at, settings_for(steps=6), seed=1))
    expected = start
    for weights in [*seen[1:], last]:
        expected = decay * expected + (1 - decay) * weights
    assert torch.allclose(averaged, expected, atol=1e-6)
    assert not torch.allclose(averaged, last, atol=1e-4)


def test_the_step_is_adamws():
    model, loss_at = model_and_loss()
    settings = settings_for(steps=4, warmup_steps=0, gradient_clip=0.1)
    trained = weights_of(train(model, loss_at, settings, seed=3))
    other, _ = model_and_loss()
    optimizer = torch.optim.AdamW(other.parameters(), lr=1e-2, weight_decay=0.01)
    draws = []

    def recorded(model, rng):
        draws.append(torch.Generator().set_state(rng.get_state()))
        return loss_at(model, rng)

    train(model_and_loss()[0], recorded, settings, seed=3)
    for draw in draws:
        optimizer.zero_grad()
        loss_at(other, draw).backward()
        nn.utils.clip_grad_norm_(other.parameters(), 0.1)
        optimizer.step()
    assert torch.allclose(trained, weights_of(other), atol=1e-7)


def test_the_global_stream_is_left_alone():
    model, loss_at = model_and_loss(dropout=0.3)
    before = torch.get_rng_state()
    trained = train(model, loss_at, settings_for(), seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert not trained.training


def test_learning_rates_follow_their_schedules():
    cosine = settings_for(steps=13, warmup_steps=3, schedule="cosine", learning_rate=1.0)
    rates = [cosine.rate_at(step) for step in range(14)]
    assert rates[:4] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert rates[8] == pytest.approx(0.5)
    assert rates[13] == pytest.approx(0)
    stepped = settings_for(
        warmup_steps=0, schedule="step", decay=0.5, decay_steps=10, learning_rate=1.0
    )
    assert [stepped.rate_at(step) for step in (0, 9, 10, 25)] == [1, 1, 0.5, 0.25]
    assert settings_for(warmup_steps=0).rate_at(29) == 1e-2
    for wrong in ({"schedule": "linear"}, {"precision": "fp8"}):
        with refused("wrong-option", *wrong, *wrong.values()):
            settings_for(**wrong)
