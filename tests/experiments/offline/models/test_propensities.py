"""Estimated propensities: scikit-learn's where all could be done, right where not, refused where untried."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from experiments.offline.evaluation import evaluate_policy
from experiments.offline.logs.logged import Bools, Floats, Ints, LoggedRounds
from experiments.offline.models.choices import PENALTY, ConditionalLogit
from experiments.offline.models.propensities import with_propensities
from experiments.offline.targets import always

NAMES = ("none", "push", "mail")


def drawn(shares: Floats, rng: np.random.Generator) -> Ints:
    return np.asarray((shares.cumsum(axis=1) < rng.random((len(shares), 1)) * (1 - 1e-9)).sum(axis=1), np.int64)


def test_equals_scikit_learn_where_all_is_eligible() -> None:
    rng = np.random.default_rng(0)
    context = rng.normal(size=(2_000, 4))
    actions = drawn(softmax(context @ rng.normal(size=(4, 3)), axis=1), rng)
    model = ConditionalLogit(3)
    everything = np.ones((2_000, 3), np.bool_)
    model.fit(context, actions, everything)
    standardised = (context - context.mean(axis=0)) / context.std(axis=0)
    other = LogisticRegression(C=1.0 / PENALTY, max_iter=10_000, tol=1e-10).fit(standardised, actions)
    assert np.abs(model.predict(context, everything) - other.predict_proba(standardised)).max() < 1e-5


def test_what_could_not_be_done_was_not_unwanted() -> None:
    """Push is taken in 30 % of the rounds in which it could be, half of all: without features exactly that share."""
    n = 1_000
    could: Bools = np.ones((n, 2), np.bool_)
    could[: n // 2, 1] = False
    actions = np.zeros(n, np.int64)
    actions[n // 2 : n // 2 + 150] = 1
    model = ConditionalLogit(2)
    model.fit(np.zeros((n, 0)), actions, could)
    found = model.predict(np.zeros((n, 0)), could)
    assert found[-1, 1] == pytest.approx(0.3, abs=1e-6)
    assert (found[: n // 2, 1] == 0.0).all()


def test_eligibility_that_goes_with_the_context() -> None:
    """Mail is eligible for the large x alone; among what is eligible the choice is a logit, and is found again."""
    rng = np.random.default_rng(1)
    n = 40_000
    context = rng.normal(size=(n, 1))
    eligible = np.ones((n, 3), np.bool_)
    eligible[:, 2] = context[:, 0] > 0.5
    scores = np.where(eligible, np.column_stack([np.zeros(n), context[:, 0], 0.5 - context[:, 0]]), -np.inf)
    true = softmax(scores, axis=1)
    actions = drawn(true, rng)
    rounds = LoggedRounds(actions, rng.normal(size=n), NAMES, eligible=eligible, context=context, features=("x",))
    found = with_propensities(rounds)
    assert found.rounds.probabilities is not None
    assert np.abs(found.rounds.probabilities - true).max() < 0.02
    assert not found.refusals
    assert found.rounds.estimated_by == "conditional logit"
    # A model that does not know what could be done is far off in the same log.
    other = LogisticRegression().fit(context, actions).predict_proba(context) * eligible
    other /= other.sum(axis=1, keepdims=True)
    assert np.abs(other - true).max() > 0.1


@pytest.mark.parametrize("n", [500, 5_000])
def test_a_log_that_a_rule_made_is_refused(n: int) -> None:
    """Whoever is above the line got a push, whoever is below none: the others' pushes were never tried."""
    rng = np.random.default_rng(n)
    context = rng.normal(size=(n, 3))
    actions = (context[:, 0] + 0.5 * context[:, 1] > 0).astype(np.int64)
    rounds = LoggedRounds(actions, rng.normal(size=n) + actions, NAMES[:2], context=context, features=("a", "b", "c"))
    found = with_propensities(rounds)
    told = evaluate_policy(
        found.rounds, always(rounds, "push"), estimators=("snips",), warnings=found.warnings, refusals=found.refusals
    )
    assert told.is_refused
    assert any("Support is missing" in each for each in told.refusals)
    if n > 1_000:
        assert told.refusals[0].startswith(
            "The propensities had to be estimated, and those of 'none', 'push' do not come true, so that no weight"
        )


def test_rare_but_tried_stays_supported() -> None:
    """One in a hundred, everywhere: small shares are shares."""
    rng = np.random.default_rng(3)
    n = 40_000
    actions = (rng.random(n) < 0.01).astype(np.int64)
    rounds = LoggedRounds(actions, rng.normal(size=n), NAMES[:2], context=rng.normal(size=(n, 2)), features=("a", "b"))
    found = with_propensities(rounds)
    assert found.rounds.probabilities is not None
    assert found.rounds.probabilities.min() > 0.005
    assert not found.refusals


def test_an_action_of_one_user_is_named() -> None:
    rng = np.random.default_rng(4)
    n = 200
    actions = rng.integers(0, 2, n)
    actions[:3] = 2
    users = np.arange(n) // 4
    rounds = LoggedRounds(
        actions, rng.normal(size=n), NAMES, context=rng.normal(size=(n, 1)), features=("x",), users=users
    )
    with pytest.raises(ValueError, match="but 'mail' was taken 3 times, by users of one fold of 5: leave it out"):
        with_propensities(rounds)


def test_trees_where_no_line_parts_the_choices() -> None:
    """Whoever is above the mean gets a push with .7, others with .3: a curve would be off by a fifth at the step."""
    rng = np.random.default_rng(9)
    n = 6_000
    context = rng.normal(size=(n, 2))
    p = np.where(context[:, 0] > 0, 0.7, 0.3)
    actions = (rng.random(n) < p).astype(np.int64)
    rounds = LoggedRounds(actions, rng.normal(size=n), NAMES[:2], context=context, features=("a", "b"))
    found = with_propensities(rounds)
    assert found.rounds.estimated_by == "boosted trees"
    assert (
        "The propensities are those of boosted trees, by which other users' actions were likelier" in found.warnings[1]
    )
    assert found.rounds.probabilities is not None
    trees = np.abs(found.rounds.probabilities[:, 1] - p).mean()
    line = with_propensities(rounds, "conditional logit")
    assert line.rounds.probabilities is not None
    assert line.refusals
    assert trees < 0.05 < np.abs(line.rounds.probabilities[:, 1] - p).mean()
    with pytest.raises(ValueError, match="model 'logit': expected one of conditional logit, boosted trees"):
        with_propensities(rounds, "logit")
