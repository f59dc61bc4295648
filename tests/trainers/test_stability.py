import math
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trainers.runs import run
from trainers.runs.stability import DivergedError, DriftWatch, GuardedOptimizer


@pytest.fixture
def weight() -> nn.Parameter:
    return nn.Parameter(torch.tensor([3.0, 4.0]))


def guarded(weight: nn.Parameter, **options: float) -> GuardedOptimizer:
    return GuardedOptimizer(torch.optim.Adam([weight], lr=0.1), **options)


def not_finite(kind: str, weight: Tensor) -> Tensor:
    if kind == "loss":
        return weight.sum() * 0 + math.inf
    return (weight - weight.detach()).abs().sqrt().sum()  # zero, with an infinite slope


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_what_is_not_finite_changes_nothing(weight: nn.Parameter, kind: str) -> None:
    optimizer = guarded(weight)
    assert optimizer.step(weight.square().sum())
    before = weight.detach().clone()
    moments = {k: v.clone() for k, v in optimizer.state_dict()["state"][0].items()}
    assert not optimizer.step(not_finite(kind, weight))
    assert torch.equal(weight, before)
    state = optimizer.state_dict()["state"][0]
    assert all(torch.equal(state[name], moment) for name, moment in moments.items())
    assert optimizer.step(weight.square().sum())
    assert not torch.equal(weight, before)


def test_patience_counts_steps_in_a_row(weight: nn.Parameter) -> None:
    optimizer = guarded(weight, patience=3)
    for good in (False, False, True, False, False):
        assert optimizer.step(weight.sum() if good else not_finite("loss", weight)) == good
    with pytest.raises(DivergedError, match="3 losses or gradients in a row were not finite"):
        optimizer.step(not_finite("loss", weight))


def test_patience_goes_on_from_its_state(weight: nn.Parameter) -> None:
    before = guarded(weight, patience=3)
    for _ in range(2):
        before.step(not_finite("loss", weight))
    after = guarded(weight, patience=3)
    after.load_state_dict(before.state_dict())
    with pytest.raises(DivergedError):
        after.step(not_finite("loss", weight))


@pytest.mark.parametrize(("clip", "length"), [(1.0, 1.0), (math.inf, 10.0)])
def test_gradients_are_clipped_together(weight: nn.Parameter, clip: float, length: float) -> None:
    before = weight.detach().clone()
    GuardedOptimizer(torch.optim.SGD([weight], lr=1.0), clip).step(weight.square().sum())
    assert (before - weight.detach()).norm() == pytest.approx(length, rel=1e-5)


def test_a_guarded_optimizer_is_the_same_optimizer(weight: nn.Parameter) -> None:
    plain = nn.Parameter(weight.detach().clone())
    optimizer, guard = torch.optim.Adam([plain], lr=0.1), guarded(weight)
    for _ in range(5):
        optimizer.zero_grad()
        plain.pow(4).sum().backward()
        optimizer.step()
        guard.step(weight.pow(4).sum())
    assert torch.equal(plain, weight)


def test_rising_before_it_has_diverged() -> None:
    """What is saved to come back to must not have begun to diverge."""
    watch = DriftWatch(factor=4, floor=0.0, horizon=50)
    feed(watch, [0.1] * 100)
    assert not watch.rising
    watch.update(0.5)  # one bad value: perhaps a bad batch, perhaps the beginning
    assert watch.rising
    feed(watch, [0.1] * 10)
    assert not watch.rising
    feed(watch, [0.3] * 60)  # never above the limit, but for good
    assert watch.rising


def feed(watch: DriftWatch, values: list[float]) -> None:
    for value in values:
        watch.update(value)


def test_drift_is_measured_from_the_lowest_mean() -> None:
    watch = DriftWatch(factor=3, floor=0.01, horizon=10)
    feed(watch, [1.0] * 50 + [0.1] * 100 + [0.25] * 100 + [math.nan] * 20)
    with pytest.raises(DivergedError, match=r"fallen to 0\.1 has risen to 0\.3"):
        feed(watch, [0.5] * 100)


def test_drift_below_the_floor_and_at_the_start_is_harmless() -> None:
    watch = DriftWatch(factor=3, floor=0.05, horizon=10)
    feed(watch, [0.001, *[0.04] * 5, *[0.001] * 50, *[0.04] * 100])
    assert watch.lowest < 0.002


def test_a_watch_goes_on_from_its_state() -> None:
    one, other = (DriftWatch(factor=3, floor=0.0, horizon=10) for _ in range(2))
    feed(one, torch.rand(30).tolist())
    other.load_state_dict(one.state_dict())
    for watch in (one, other):
        feed(watch, [0.5])
    assert one.state_dict() == other.state_dict()


def test_an_unsound_state_is_saved_late_or_where_ctrl_c_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = run.Run.create(tmp_path / "run", {}, torch.device("cpu"), quiet=True)
    assert not one.checkpoint_due()
    monkeypatch.setattr(run, "CHECKPOINT_SECONDS", -1.0)
    assert one.checkpoint_due()
    assert not one.checkpoint_due(sound=False)
    with monkeypatch.context() as later:
        later.setattr(run, "UNSOUND_SECONDS", -1.0)
        assert one.checkpoint_due(sound=False)

    def press_ctrl_c() -> None:
        with one.saving_when_interrupted():
            signal.raise_signal(signal.SIGINT)
            assert one.checkpoint_due(sound=False)

    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()
