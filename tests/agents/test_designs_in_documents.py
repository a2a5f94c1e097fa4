"""A linear model over `Candidates` is a document of kind posterior: the same rows, so the same scores."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from agents.designs import HEADS, Candidates
from agents.problem import vocabulary_problem
from policies.batch import BatchPolicy
from policies.document import Believed, Document, NetworkInput, Posterior, Softmax, Thompson
from policies.vocabulary import SLOT_FEATURES, USER_FEATURES


@pytest.mark.parametrize("n_slots", [1, 4])
def test_scores_of_the_design_are_those_of_the_document(n_slots: int) -> None:
    luck = np.random.default_rng(3)
    problem = vocabulary_problem(n_slots)
    design = Candidates(problem)
    names = [*(f.name for f in USER_FEATURES), *(f"slot.{f.name}" for f in SLOT_FEATURES)]
    inputs = tuple(
        NetworkInput(name, float(mean), float(scale))
        for name, mean, scale in zip(names, design.mean, design.scale, strict=True)
    )
    means = luck.normal(size=(3, design.n_inputs))
    factors = np.tril(0.1 * luck.normal(size=(3, design.n_inputs, design.n_inputs)))
    heads = {
        name: Believed(tuple(mean.tolist()), tuple(tuple(row[: k + 1].tolist()) for k, row in enumerate(factor)))
        for name, mean, factor in zip(HEADS, means, factors, strict=True)
    }
    document = Document("linear", n_slots, Posterior(inputs, (), heads), Softmax(1.0))
    observations = luck.uniform(problem.low, problem.high, (300, problem.n_features)).astype(np.float32)
    masks = luck.random((300, problem.n_actions)) < 0.6
    masks[:, 0] = True
    rows = design.rows(observations)
    scores = np.where(masks, design.of_actions(rows @ means.T), -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    found = BatchPolicy(document).probabilities(observations, masks)
    np.testing.assert_allclose(found, weights / weights.sum(axis=1, keepdims=True), rtol=0.0, atol=1e-12)

    # Two eligible actions: the chance of the send is Phi of the gap over the spread.
    sds = design.of_actions(np.sqrt(np.einsum("rd,hde,re->rh", rows, factors @ factors.transpose(0, 2, 1), rows)))
    masks[:, 1:] = False
    masks[:, 2] = True
    scores = design.of_actions(rows @ means.T)
    chances = ndtr((scores[:, 2] - scores[:, 0]) / np.hypot(sds[:, 2], sds[:, 0]))
    drawing = BatchPolicy(Document("linear", n_slots, Posterior(inputs, (), heads), Thompson()))
    np.testing.assert_allclose(drawing.probabilities(observations, masks)[:, 2], chances, rtol=0.0, atol=1e-8)
