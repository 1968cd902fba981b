"""The plots of progress.csv, checked by what matplotlib was told to draw."""

import csv

import pytest
from matplotlib import pyplot as plt

from pipelines.runs import curves, published

PUBLISHED = published.PublishedReturns(
    levels={'random play': 148.0, 'human': 1668.7},
    curves={'DQN': [(250_000, 164.0), (500_000, 242.0)]},
)


def write(directory, *rows):
    """Writes progress.csv from rows (env steps, return, evaluation, loss); '': not known.

    An episode has ended every ten env steps.
    """
    path = directory / 'progress.csv'
    with open(path, 'w', newline='') as f:
        writer = csv.writer(f)
        writer.writerow(('env_steps', 'return_mean_100', 'eval_return_mean', 'loss', 'episodes'))
        writer.writerows([*row, row[0] // 10] for row in rows)
    return path


@pytest.fixture
def drawn(monkeypatch):
    """Keeps the saved figures open, and returns them."""
    figures = []
    save = curves._save

    def keep(figure, png):
        figures.append(figure)
        save(figure, png)

    monkeypatch.setattr(curves, '_save', keep)
    yield figures
    plt.close('all')


def test_the_curve_is_a_picture_even_before_any_episode_has_ended(tmp_path, drawn):
    path = write(tmp_path, (10, '', '', ''))
    for draw in (curves.draw_curve, curves.draw_metrics):
        draw(path, tmp_path / 'picture.png', 'title')
        assert (tmp_path / 'picture.png').read_bytes()[:4] == b'\x89PNG'


def test_returns_and_evaluations_are_drawn_at_their_env_steps(tmp_path, drawn):
    path = write(tmp_path, (10, 1.0, '', 0.5), (20, 2.0, 5.0, ''), (30, 3.0, 6.0, 0.25))
    curves.draw_curve(path, tmp_path / 'curve.png', 'title')
    training, evaluation = drawn[0].axes[0].lines
    assert training.get_xydata().tolist() == [[10, 1], [20, 2], [30, 3]]
    assert evaluation.get_xydata().tolist() == [[20, 5], [30, 6]]
    curves.draw_metrics(path, tmp_path / 'metrics.png', 'title')
    panels = [axes for axes in drawn[1].axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == ['loss']
    assert panels[0].lines[0].get_xydata().tolist() == [[10, 0.5], [30, 0.25]]


def test_published_returns_are_drawn_as_far_as_the_run_goes(tmp_path, drawn):
    path = write(tmp_path, (100_000, 150.0, '', ''), (300_000, 200.0, '', ''))
    curves.draw_curve(path, tmp_path / 'curve.png', 'title', published=PUBLISHED)
    axes = drawn[0].axes[0]
    assert axes.get_xlabel() == 'environment steps'
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines['DQN'] == [[250_000, 164]]  # not the point at 500 000
    assert [text.get_text() for text in axes.texts] == ['random play 148']  # a human would dwarf it


def test_over_episodes_there_are_published_levels_but_no_curves(tmp_path, drawn):
    path = write(tmp_path, (10, 1.0, '', 0.5), (3_000_000, 150.0, 6.0, 0.25))
    curves.draw_curve(path, tmp_path / 'curve.png', 'title', 'episodes', PUBLISHED)
    curves.draw_metrics(path, tmp_path / 'metrics.png', 'title', 'episodes')
    axes, panel = drawn[0].axes[0], drawn[1].axes[0]
    assert axes.get_xlabel() == panel.get_xlabel() == 'training episodes'
    assert axes.lines[0].get_xydata().tolist() == [[1, 1], [300_000, 150]]
    assert panel.lines[0].get_xydata().tolist() == [[1, 0.5], [300_000, 0.25]]
    assert 'DQN' not in {line.get_label() for line in axes.lines}
    assert [text.get_text() for text in axes.texts] == ['random play 148']
