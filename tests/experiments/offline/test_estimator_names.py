"""An estimator is named by its key; a title, as tables show it, is told with the key."""

from __future__ import annotations

import pytest

from experiments.offline.estimators.catalogue import ESTIMATORS, estimator


@pytest.mark.parametrize("key", ["snips", "clipped_ips", "switch_dr", "mrdr"])
def test_a_title_is_told_with_its_key(key: str) -> None:
    with pytest.raises(ValueError, match=f"expected one of ips, .*Did you mean '{key}'"):
        estimator(ESTIMATORS[key].title)
