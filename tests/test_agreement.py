"""Cosines between features of the same images."""

from __future__ import annotations

import numpy as np
import pytest

from featx.agreement import cosines


def test_each_row_is_compared_with_the_same_row():
    a = np.array([[3, 4], [1, 0], [0, 2], [0, 0], [0, 0]], np.float32)
    b = np.array([[4, 3], [2, 0], [0, -1], [0, 0], [1, 0]], np.float32)
    assert cosines(a, b) == pytest.approx([24 / 25, 1, -1, 1, 0])


def test_equal_rows_give_exactly_one_and_values_may_be_large_or_nan():
    row = np.full((1, 3), 3e38, np.float32)
    assert cosines(row, row).tolist() == [1.0]
    assert np.isnan(cosines(row, np.full((1, 3), np.nan, np.float32))).all()
