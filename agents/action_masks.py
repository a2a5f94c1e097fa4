"""The masks of all environments as the list of rows that sb3-contrib stacks, without the cost of stacking them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


class MaskRows(list[Mask]):
    """A list of the rows of one mask array; `np.stack` of it copies the array at once.

    sb3-contrib collects masks by `np.stack(env.env_method("action_masks"))`, which for 1,024 rows takes 0.4 ms, a
    tenth of a whole step of its learner at that size. NumPy lets an array take part in such a call
    (`__array_function__`), so the first row sees to it. The rows are ordinary views in every other respect.

    Attributes:
        whole: the masks, shape (E, A); writing into it changes the rows.
    """

    def __init__(self, whole: Mask) -> None:
        super().__init__([whole[0].view(_FirstRow), *whole[1:]])
        self.whole = whole


class _FirstRow(np.ndarray[tuple[int], np.dtype[np.bool_]]):
    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if func is np.stack and not kwargs and len(args) == 1 and isinstance(args[0], MaskRows):
            return args[0].whole.copy()
        return super().__array_function__(func, types, args, kwargs)
