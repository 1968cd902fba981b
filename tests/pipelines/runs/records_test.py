import types

import pytest

from pipelines.loops.episode_losses import Turn
from pipelines.loops.rollout import Episode, EpisodeStatistics
from pipelines.runs.records import Records
from pipelines.settings import DdqnSettings
from tests.pipelines.whole_runs import episodes, progress, scalars


def make(directory, so_far=(0, 0), **settings):
    """Records of a run that has come so far: (env steps, episodes)."""
    statistics = EpisodeStatistics(1)
    statistics.env_steps, statistics.num_episodes = so_far
    training = types.SimpleNamespace(metrics=('loss',), gauges={}, statistics=statistics)
    return Records(directory, DdqnSettings(**settings).schedule(), training, ())


def play(records, number, env_steps):
    """An episode of 10 steps that ends now, and a row of progress.csv."""
    turn = Turn(env_steps, 10, {'loss': 1.0})
    records.progress.gather(turn.metrics)
    records.episodes.record([turn], [Episode(number, env_steps, 5.0, 10)])
    records.progress.add(
        {
            'env_steps': env_steps, 'train_steps': 1, 'episodes': number, 'return_mean_100': 5.0,
            'env_steps_per_second': 1.0, 'wall_seconds': 1.0,
        }
    )  # fmt: skip


def test_all_three_files_go_back_to_the_checkpoint_together(tmp_path):
    records = make(tmp_path)
    records.open()
    play(records, 1, 10)
    states = records.progress.state(), records.episodes.state()
    play(records, 2, 20)  # lost
    records.close()
    records = make(tmp_path, so_far=(10, 1))
    records.progress.restore(states[0])
    records.episodes.restore(states[1])
    records.open()
    play(records, 2, 25)
    records.close()
    assert [row['env_steps'] for row in progress(tmp_path)] == ['10', '25']
    assert [row['env_steps'] for row in episodes(tmp_path)] == ['10', '25']
    read = scalars(tmp_path)
    assert read['reward'] == [(10, 5.0), (25, 5.0)]
    assert read['by episode/reward'] == [(1, 5.0), (2, 5.0)]


def test_what_was_written_is_there_to_be_read_while_the_run_lasts(tmp_path):
    records = make(tmp_path)
    records.open()
    play(records, 1, 10)
    records.flush()
    assert len(progress(tmp_path)) == len(episodes(tmp_path)) == 1
    assert scalars(tmp_path)['by episode/reward'] == [(1, 5.0)]
    records.close()


@pytest.mark.parametrize(
    ('limits', 'line'),
    [
        ({'num_env_steps': 5_000}, '10 env steps: '),
        ({'num_env_steps': 5_000, 'num_episodes': 2}, '1 episodes: '),
    ],
)
def test_the_line_says_how_far_the_run_is_in_what_it_is_limited_by(tmp_path, capsys, limits, line):
    records = make(tmp_path, **limits)
    records.open()
    play(records, 1, 10)
    records.close()
    out = capsys.readouterr().out
    assert line in out
    if 'num_episodes' in limits:  # as long again as so far, not 499 times
        assert ' 0 s left' in out
