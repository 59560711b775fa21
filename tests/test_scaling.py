"""The scaler that precedes the heads."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.utils.estimator_checks import check_estimator

from featx.scaling import CommonScaler


def test_passes_the_estimator_checks_of_scikit_learn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns about skipped checks
        check_estimator(CommonScaler())


def test_one_scale_for_all_features():
    X = np.array([[0.0, 1.0], [4.0, 1.0], [8.0, 1.0]], np.float32)
    scaler = CommonScaler().fit(X)
    np.testing.assert_allclose(scaler.mean_, [4, 1])
    np.testing.assert_allclose(scaler.scale_, np.sqrt((32 / 3 + 0) / 2))
    made = scaler.transform(X)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made[:, 1], 0)
    np.testing.assert_allclose(made.var(axis=0).mean(), 1, rtol=1e-6)


def test_constant_features():
    np.testing.assert_array_equal(CommonScaler().fit_transform(np.ones((3, 2))), np.zeros((3, 2)))
