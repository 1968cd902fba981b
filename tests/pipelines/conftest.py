"""Statistics in a fifth of the time, except where they are what is tested."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _fewer_resamples(request, monkeypatch):
    """Intervals of reports come from fewer resamples; `statistics_test` has the full number."""
    statistics = sys.modules.get('pipelines.comparison.statistics')
    if statistics is not None and request.path.stem != 'statistics_test':
        monkeypatch.setattr(statistics, '_REPS', 400)
        monkeypatch.setattr(statistics, '_CURVE_REPS', 100)
