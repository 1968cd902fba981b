"""What is tested by itself, whole runs need not do over and over: statistics and pictures."""

import shutil
import sys
import types

import pytest


@pytest.fixture(autouse=True)
def _fewer_resamples(request, monkeypatch):
    """Intervals of reports come from fewer resamples; `statistics_test` has the full number."""
    statistics = sys.modules.get('pipelines.comparison.statistics')
    if statistics is not None and request.path.stem != 'statistics_test':
        monkeypatch.setattr(statistics, '_REPS', 400)
        monkeypatch.setattr(statistics, '_CURVE_REPS', 100)


@pytest.fixture(autouse=True, scope='session')
def _pictures_of_a_kind_are_drawn_once(tmp_path_factory):
    """Runs whose progress has the same columns get the picture of the first; see `curves_test`."""
    from pipelines.runs import curves, report

    drawn = tmp_path_factory.mktemp('pictures')

    def once(draw):
        def draw_or_copy(csv, png, *arguments, **more):
            kind = abs(hash((draw.__name__, csv.read_text().split('\n')[0])))
            if not (drawn / f'{kind}.png').exists():
                draw(csv, png, *arguments, **more)
                shutil.copy(png, drawn / f'{kind}.png')
            shutil.copy(drawn / f'{kind}.png', png)

        return draw_or_copy

    with pytest.MonkeyPatch.context() as patch:
        pictures = {name: once(getattr(curves, name)) for name in ('draw_curve', 'draw_metrics')}
        patch.setattr(report, 'curves', types.SimpleNamespace(**pictures))
        yield
