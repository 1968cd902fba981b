"""A session around real episodes of CartPole: intervals, stopping and resuming."""

import contextlib
import csv
import dataclasses
import signal

import numpy as np
import pytest

from pipelines import assembly
from pipelines.errors import UserError
from pipelines.loops.episode_losses import Turn
from pipelines.runs.run_dir import RunDir
from pipelines.runs.session import Session
from pipelines.settings import ReinforceSettings
from tests.pipelines.whole_runs import episodes

SETTINGS = ReinforceSettings(
    num_episodes=8, num_envs=2, num_selection_episodes=2, eval_interval_episodes=4,
    checkpoint_interval_episodes=4, log_interval_episodes=2, baseline='none',
)  # fmt: skip
METRICS = {'loss': 1.0, 'policy_loss': 2.0, 'value_loss': 0.0, 'entropy': 0.5}


class Run:
    """A session in `directory` whose turns train on two episodes and report known metrics."""

    def __init__(self, directory, settings=SETTINGS):
        self._directory, self._settings = directory, settings

    @contextlib.contextmanager
    def started(self):
        parts = assembly.assemble_reinforce(self._settings, seed=0)
        self.training = parts.training
        self._collector, self._learner = parts.collector, parts.learner
        with RunDir(str(self._directory)) as run, parts.queue:
            self.session = Session(run, 0, self._settings.schedule(), parts.training)
            self.session.start()
            yield self.session

    def turn(self, **metrics):
        self._collector.run(seed=self.training.statistics.num_episodes)
        self._learner.train()
        self.session.record([Turn(int(self.training.env_steps), 1, METRICS | metrics)])

    def to_the_end(self, after_turn=lambda: None):
        with self.session.running():
            while self.session.left():
                self.turn()
                after_turn()


def rows(directory):
    with open(directory / 'progress.csv', newline='') as f:
        return list(csv.DictReader(f))


def checkpoints(directory):
    return sorted(path.name for path in (directory / 'checkpoints').glob('0*'))


@pytest.mark.slow
def test_a_run_logs_evaluates_and_checkpoints_at_its_intervals(tmp_path):
    run = Run(tmp_path)
    with run.started() as session:
        seen = []
        run.to_the_end(lambda: seen.append(len(checkpoints(tmp_path))))
        assert session.is_complete and session.count == 8
        env_steps = int(run.training.env_steps)
    written = rows(tmp_path)
    assert [row['episodes'] for row in written] == ['2', '4', '6', '8']
    assert [row['eval_return_mean'] != '' for row in written] == [False, True, False, True]
    assert {row['loss'] for row in written} == {'1'} and {row['entropy'] for row in written} == {
        '0.5'
    }
    assert seen == [0, 1, 1, 1]  # after each turn; the last one is written when turns are over
    assert checkpoints(tmp_path)[-1] == f'{env_steps:012d}'


def test_the_best_weights_are_those_of_the_best_evaluation(tmp_path):
    run = Run(tmp_path)
    with run.started() as session:
        best = run.training.exports['policy'].variables()
        online = run.training.agent.policy.variables()
        scores = iter([30.0, 20.0, 30.0])
        session._best_policy._evaluator = FakeEvaluator(scores)
        for number, kept in ((1.0, 1.0), (2.0, 1.0), (3.0, 3.0)):  # the later of equals
            for variable in online:
                variable.assign(np.full(variable.shape, number))
            session._best_policy.evaluate(int(number), seed=0)
            assert {float(x) for v in best for x in v.numpy().ravel()} == {kept}
        assert session._best_policy.found == {'eval_mean': 30.0, 'env_steps': 3, 'train_steps': 0}
        session._records.close()


class FakeEvaluator:
    """Returns the scores one after another."""

    overestimation = None

    def __init__(self, scores):
        self._scores = scores

    def __call__(self, num_episodes, seed):
        return np.full(num_episodes, next(self._scores))


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_turns_with_a_checkpoint_and_the_next_start_resumes(
    tmp_path, capsys, number
):
    run = Run(tmp_path)
    with run.started() as session:
        run.to_the_end(lambda: signal.raise_signal(number))
        assert not session.is_complete
        assert 'stopped at 2 episodes; run the same command to resume' in capsys.readouterr().out
        wall_seconds, env_steps = session.extent.wall_seconds, int(run.training.env_steps)
        returns = list(run.training.statistics.last_returns)
    assert checkpoints(tmp_path) == [f'{env_steps:012d}']

    again = Run(tmp_path)
    with again.started() as session:
        assert 'resuming from 2 episodes' in capsys.readouterr().out
        assert int(again.training.env_steps) == env_steps and session.count == 2
        assert list(again.training.statistics.last_returns) == returns
        assert session.extent.wall_seconds == wall_seconds
        again.to_the_end()
        assert session.is_complete
        assert session.extent.wall_seconds > wall_seconds
    assert [row['episodes'] for row in rows(tmp_path)] == ['2', '4', '6', '8']
    each = episodes(tmp_path)  # once, and the two episodes of an update with its loss
    assert [row['episode'] for row in each] == [str(i + 1) for i in range(8)]
    assert {row['avg_loss'] for row in each} == {'1'}
    assert int(each[-1]['env_steps']) == int(again.training.env_steps)


@pytest.mark.slow
def test_a_longer_run_continues_where_a_shorter_one_ended(tmp_path):
    run = Run(tmp_path)
    with run.started():
        run.to_the_end()
    longer = Run(tmp_path, dataclasses.replace(SETTINGS, num_episodes=13))
    with longer.started() as session:
        assert not session.is_complete and session.left() == 2  # an episode of each, twice
        longer.to_the_end()
        assert session.count == 12 and session.is_complete  # a third turn would not fit


@pytest.mark.slow
def test_a_loss_that_is_not_finite_names_what_to_lower(tmp_path):
    run = Run(tmp_path)
    with (
        run.started() as session,
        pytest.raises(
            UserError,
            match='loss at .* is nan; lower adam.learning_rate or set '
            'PolicyGradientAgent.gradient_clip_norm',
        ),
        session.running(),
    ):
        run.turn(loss=float('nan'))
    assert not checkpoints(tmp_path)


@pytest.mark.slow
def test_derived_seeds_differ_by_purpose_and_step_and_repeat_otherwise(tmp_path):
    run = Run(tmp_path)
    with run.started() as session:
        first = session.derived_seed('collect')
        assert first == session.derived_seed('collect') != session.derived_seed('explore')
        run.training.env_steps.assign(1)
        assert session.derived_seed('collect') != first
        session._records.close()


@pytest.mark.slow
def test_films_are_made_at_their_interval(tmp_path):
    run = Run(tmp_path, dataclasses.replace(SETTINGS, video_interval_episodes=6))
    with run.started():
        run.to_the_end()
    assert [path.name for path in (tmp_path / 'videos').iterdir()] == ['after_000006_episodes.gif']
