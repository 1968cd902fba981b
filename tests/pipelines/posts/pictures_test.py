"""What the figures share."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from pipelines.posts import pictures


def test_smoothing_is_the_mean_of_the_last_points():
    lines = np.array([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 6.0, 0.0]])
    expected = [[1.0, 1.5, 2.5, 3.5], [0.0, 0.0, 3.0, 3.0]]
    assert pictures.smoothed(lines, 2).tolist() == expected
    assert pictures.smoothed(lines[0], 100).tolist() == [1.0, 1.5, 2.0, 2.5]


@pytest.mark.parametrize('seeds', [1, 3])
def test_the_mean_is_drawn_in_blocks_with_a_band_from_two_seeds_on(seeds):
    _, axes = plt.subplots()
    x = np.arange(1, 101)
    lines = np.tile(np.arange(100.0), (seeds, 1)) + np.arange(seeds)[:, np.newaxis]
    pictures.mean_with_band(axes, x, lines, 'mean')
    (line,) = axes.lines
    assert len(line.get_xdata()) == 25 and bool(axes.collections) == (seeds > 1)
    np.testing.assert_allclose(
        np.asarray(line.get_ydata(), float),
        np.asarray(line.get_xdata(), float) - 1 + np.arange(seeds).mean(),
    )
    plt.close('all')


def test_there_is_a_panel_for_each_function(tmp_path):
    drawn = []
    pictures.save_panels(tmp_path / 'figure.png', [drawn.append, drawn.append], columns=2)
    assert len(drawn) == 2 and (tmp_path / 'figure.png').read_bytes()[:4] == b'\x89PNG'
    assert [path.name for path in tmp_path.iterdir()] == ['figure.png']
