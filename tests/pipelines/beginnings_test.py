"""Whole runs that start from older ones, and whole runs that callbacks watch and stop."""

import pathlib
import shutil
import signal
import types
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from examples import early_stopping
from pipelines import train_ddqn, train_reinforce
from pipelines.runs import checkpoints, export, weights
from tests.pipelines.train_ddqn_test import arguments, start, summary, wait_for_checkpoint
from tests.pipelines.whole_runs import (
    RunsOfOneProof,
    newest_state,
    printed,
    progress,
    stopped_after,
)

TINY = {
    'num_env_steps': 900,
    'num_eval_episodes': 2,
    'num_selection_episodes': 2,
    'eval_interval_env_steps': 300,
    'checkpoint_interval_env_steps': 300,
    'fuse_train_steps': False,
    'QLearningAgent.epsilon': 0.1,
}
REINFORCE = {
    'train_reinforce.num_episodes': 8,
    'train_reinforce.num_envs': 4,
    'train_reinforce.num_eval_episodes': 2,
    'train_reinforce.num_selection_episodes': 2,
    'mlp_torso.units': '(16,)',
}


def tiny(root, **bindings):
    return arguments(root, **TINY | bindings)


def reinforce(root, **bindings):
    bindings = REINFORCE | {f'train_reinforce.{name}': v for name, v in bindings.items()}
    return [
        'driver',
        f'--root_dir={root}',
        *(f'--gin_bindings={k}={v}' for k, v in bindings.items()),
    ]


@pytest.fixture(scope='module')
def old(tmp_path_factory):
    """A finished run with a proven policy that is only read."""
    root = tmp_path_factory.mktemp('old') / 'run'
    with printed() as said:
        assert train_ddqn.main(tiny(root)) == 0, said.err
    return root


@pytest.fixture(scope='module')
def runs(old, tmp_path_factory):
    """Runs that start from the old one, exported together."""
    take = {'warm_start': f"'{old}'"}
    return RunsOfOneProof(
        tmp_path_factory.mktemp('runs'),
        {
            'warm': (train_ddqn, lambda root: tiny(root, **take, reuse_replay=f"'{old}'")),
            'acrobot': (
                train_ddqn,
                lambda root: tiny(
                    root, **take, env_name="'Acrobot-v1'", num_env_steps=600,
                    warm_start_reinitialise="['torso', 'advantage_stream/1']",
                ),
            ),
            'reinforce': (
                train_reinforce,
                lambda root: reinforce(
                    root, **take,
                    warm_start_reinitialise="['*_stream', 'policy_hidden', 'logits', 'value']",
                ),
            ),
            'stopped_at_once': (
                train_ddqn,
                lambda root: tiny(
                    root, warm_start=f"'{old}/policy'",
                    callbacks="['tests.pipelines.beginnings_test:StopsAtOnce']",
                ),
            ),
            'stopped': (train_ddqn, lambda root: watched(root, stops_after=4)),
            'good_enough': (
                train_reinforce,
                lambda root: reinforce(
                    root, eval_interval_episodes=4,
                    callbacks="[('examples.early_stopping:EarlyStopping', {'at_return': 8.0})]",
                ),
            ),
        },
    )  # fmt: skip


@pytest.mark.slow
def test_a_warm_start_is_the_first_line_and_is_evaluated_before_the_first_train_step(old, runs):
    root, out = runs.run('warm'), runs.output('warm')
    lines = out.splitlines()
    assert lines[0].startswith(
        f'warm start from {old}/policy (dueling_ddqn on CartPole-v1): takes '
    )
    assert 'starts as configured' not in lines[0].replace('optimizer start', '')
    first = progress(root)[0]
    assert (first['env_steps'], first['train_steps']) == ('0', '0') and first['loss'] == ''
    result = summary(root)
    began = result['warm_start']
    assert began['from'] == str(old) and 'torso/0/kernel' in began['weights']
    assert float(first['eval_return_mean']) == pytest.approx(began['eval_return_mean'], rel=1e-5)
    assert f'before the first train step: evaluation {began["eval_return_mean"]:.1f} over 2' in out
    assert result['best']['eval_mean'] >= began['eval_return_mean']


@pytest.mark.slow
def test_a_reused_replay_is_there_from_the_first_step(old, runs):
    root, out = runs.run('warm'), runs.output('warm')
    count = summary(root)['reused_replay']['transitions']
    assert 700 < count <= 1_000 and f'{count:,} transitions in replay are from {old}' in out
    assert newest_state(root)['collect_and_train'] == 0  # training started at once
    assert (old / 'replay' / 'layout.json').exists()


@pytest.mark.slow
def test_a_run_that_is_stopped_at_once_exports_what_it_started_from(old, runs):
    root = runs.run('stopped_at_once')
    result = summary(root)
    assert (result['env_steps'], result['train_steps']) == (0, 0)
    assert result['stopped']['why'] == 'nothing to do'
    # What is exported are the variables `best`, in the order of the export.
    best = tf.train.load_checkpoint(str(root / 'checkpoints' / f'{0:012d}' / 'variables'))
    for i, array in enumerate(weights.read(old / 'policy').arrays):
        key = f'best/{i}/.ATTRIBUTES/VARIABLE_VALUE'
        np.testing.assert_array_equal(best.get_tensor(key), array)


class StopsAtOnce:
    def start(self, run):
        run.stop('nothing to do')


@pytest.mark.slow
def test_another_environment_is_refused_until_what_differs_is_named(old, runs, tmp_path):
    bindings = {'warm_start': f"'{old}'", 'env_name': "'Acrobot-v1'"}
    for more in ([], ['--check_only']):
        with printed() as said:
            assert train_ddqn.main([*tiny(tmp_path / 'new', **bindings), *more]) == 2
        assert (
            said.err.count('\n') == 1 and 'torso/0/kernel is [4, 16] there and [6, 16]' in said.err
        )
        assert "warm_start_reinitialise = ['" in said.err
    assert not (tmp_path / 'new').exists()
    assert summary(runs.run('acrobot'))['warm_start']['weights']
    assert 'starts as configured: ' in runs.output('acrobot').splitlines()[0]


@pytest.mark.slow
def test_a_torso_of_q_learning_starts_reinforce(runs):
    root = runs.run('reinforce')
    line = runs.output('reinforce').splitlines()[0]
    assert 'takes torso; starts as configured: ' in line and 'does not use: ' in line
    assert line.endswith('; the optimizer starts as configured')
    assert summary(root)['warm_start']['weights'] == ['torso/0/kernel', 'torso/0/bias']
    assert progress(root)[0]['episodes'] == '0'


@pytest.mark.slow
def test_a_killed_warm_start_needs_the_old_run_no_more(old, tmp_path):
    gone = shutil.copytree(old, tmp_path / 'gone')
    root = tmp_path / 'run'
    take = {'warm_start': f"'{gone}'", 'reuse_replay': f"'{gone}'", 'num_env_steps': 20_000}
    process = start(root, **TINY | take)
    wait_for_checkpoint(root, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    shutil.rmtree(gone)
    rows = [row for row in progress(root) if row['eval_return_mean']]
    flags = tiny(root, **take)
    with stopped_after(2), printed() as said:
        assert train_ddqn.main(flags) == 75, said.err
    assert 'resuming from ' in said.out and 'warm start' not in said.out
    assert progress(root)[0] == rows[0]  # not evaluated as the old policy a second time
    assert len([row for row in progress(root) if row['env_steps'] == '0']) == 1
    assert newest_state(root)['beginning']['warm_start']['from'] == str(gone)
    with printed() as said:
        assert train_ddqn.main(tiny(root, **take | {'warm_start': "'elsewhere'"})) == 2
    assert "train_ddqn.warm_start was '" in said.err and "is now 'elsewhere'" in said.err
    for path in checkpoints.all_in(root / 'checkpoints'):  # it does not begin again
        (path / 'state.json').write_text('{')
    with printed() as said:
        assert train_ddqn.main(flags) == 2
    assert 'holds no whole checkpoint' in said.err and said.err.count('\n') == 1


def test_reuse_and_warm_start_are_checked_before_anything_is_written(tmp_path, capsys):
    for bindings, words in (
        ({'warm_start': "'no'"}, "train_ddqn.warm_start = 'no': there is no such directory"),
        ({'warm_start': '3'}, 'train_ddqn.warm_start = 3: must be a name in quotes, or None'),
        ({'reuse_replay': "'no'"}, "train_ddqn.reuse_replay = 'no': there is no replay"),
        (
            {'warm_start_reinitialise': "['torso']"},
            'there is nothing to leave out without train_ddqn.warm_start',
        ),
        ({'callbacks': "'m:A'"}, "must be a list of 'module:Class' or ("),
        ({'callbacks': "['no_such_module:A']"}, "there is no module 'no_such_module'"),
    ):
        for more in ([], ['--check_only']):
            assert train_ddqn.main([*tiny(tmp_path / 'run', **bindings), *more]) == 2
            err = capsys.readouterr().err
            assert words in err and err.count('\n') == 1
    assert not (tmp_path / 'run').exists()


class Watcher:
    """Counts what it is told; its column has the number of turns."""

    columns = ('turns',)
    made = []

    def __init__(self, breaks_after=10**9, stops_after=10**9):
        self.turns, self.told = 0, []
        self._breaks_after, self._stops_after = breaks_after, stops_after
        self.made.append(self)

    def start(self, run):
        self.told.append(('start', run.env_steps))

    def after_turn(self, run):
        self.turns += 1
        run.record(turns=self.turns)
        self.told.append(('turn', run.env_steps))
        if self.turns == self._breaks_after:
            raise ValueError('broken')
        if self.turns == self._stops_after:
            run.stop('enough')

    def after_evaluation(self, run):
        self.told.append(('evaluation', run.env_steps, run.metrics['eval_return_mean']))

    def end(self, run):
        self.told.append(('end', run.env_steps, run.is_complete))

    def state(self):
        return self.turns

    def restore(self, state):
        self.turns = state


def watched(root, **kwargs):
    entry = f"[('tests.pipelines.beginnings_test:Watcher', {kwargs!r})]"
    return tiny(root, callbacks=entry, num_env_steps=1_200)


@pytest.mark.slow
def test_a_callback_that_fails_ends_the_run_with_a_checkpoint_and_resuming_loses_nothing(tmp_path):
    root = tmp_path / 'run'
    Watcher.made.clear()
    with printed() as said:
        assert train_ddqn.main(watched(root, breaks_after=3)) == 2
    assert said.err.count('\n') == 1
    assert "Watcher' in after_turn failed: ValueError: broken (" in said.err
    assert f'the traceback is in {root}/callback_error.txt' in said.err
    assert "raise ValueError('broken')" in (root / 'callback_error.txt').read_text()
    at_stop = newest_state(root)
    (first,) = Watcher.made
    assert first.told[0] == ('start', 0) and first.turns == 3
    turns = [told for told in first.told if told[0] == 'turn']
    assert at_stop['env_steps'] == turns[-1][1] > 0
    assert 'end' not in [told[0] for told in first.told]  # it has failed
    assert not (root / 'summary.json').exists()
    # Mended, it goes on: rows and columns continue, and its state was kept.
    unproven = mock.patch.object(export, 'proven_exports', RunsOfOneProof(root, {})._note)
    with unproven, printed() as said:
        assert train_ddqn.main(watched(root)) == 0, said.err
    assert f'resuming from {at_stop["env_steps"]:,} env steps' in said.out
    again = Watcher.made[1]
    assert again.told[0] == ('start', at_stop['env_steps'])
    assert again.told[-1] == ('end', summary(root)['env_steps'], True)
    rows = progress(root)
    assert str(at_stop['env_steps']) in [row['env_steps'] for row in rows]  # what was due was done
    counts = [float(row['turns']) for row in rows if row['turns']]
    assert counts == sorted(set(counts)) and counts[-1] == again.turns > 5
    evaluations = [
        (int(r['env_steps']), float(r['eval_return_mean']))
        for r in rows
        if r['eval_return_mean'] and int(r['env_steps']) != at_stop['env_steps']
    ]
    told = [told[1:] for w in Watcher.made for told in w.told if told[0] == 'evaluation']
    assert evaluations == [(steps, pytest.approx(mean, rel=1e-5)) for steps, mean in told]
    steps = [told[1] for w in Watcher.made for told in w.told if told[0] == 'turn']
    assert steps == sorted(set(steps))  # each turn once
    assert not (root / 'callback_error.txt').exists()


@pytest.mark.slow
def test_a_stopped_run_is_complete_and_goes_on_if_the_callbacks_change(runs, tmp_path):
    root, out = runs.run('stopped'), runs.output('stopped')
    result = summary(root)
    assert result['env_steps'] < 1_190 and result['stopped']['why'] == 'enough'
    assert result['stopped']['by'] == 'tests.pipelines.beginnings_test:Watcher'
    assert 'stopped      by tests.pipelines.beginnings_test:Watcher: enough' in out
    last = progress(root)[-1]
    assert int(last['env_steps']) == result['env_steps'] and last['eval_return_mean'] != ''
    root = shutil.copytree(root, tmp_path / 'copy')
    with printed() as said:
        assert train_ddqn.main(watched(root, stops_after=4)) == 0
    assert 'is finished' in said.out and 'Change the callbacks to train longer' in said.out
    with stopped_after(1), printed() as said:
        assert train_ddqn.main(watched(root)) == 75
    assert 'resuming from ' in said.out and 'stopped at ' in said.out
    with printed() as said:
        assert train_ddqn.main(tiny(root, num_env_steps=1_200)) == 2
    assert 'columns of callbacks was turns and is now not set' in said.err


@pytest.mark.slow
def test_the_shipped_early_stopping_stops_at_a_return(runs):
    stopped = summary(runs.run('good_enough'))['stopped']
    assert stopped['by'] == 'examples.early_stopping:EarlyStopping'
    assert stopped['why'].endswith('where 8 is enough')


@pytest.mark.parametrize(('reached', 'stops'), [(474.9, 0), (475.0, 1), (500.0, 1)])
def test_early_stopping_compares_with_the_return(reached, stops):
    reasons = []
    run = types.SimpleNamespace(metrics={'eval_return_mean': reached}, stop=reasons.append)
    early_stopping.EarlyStopping(at_return=475.0).after_evaluation(run)
    assert len(reasons) == stops


def test_the_example_is_short():
    assert len(pathlib.Path(early_stopping.__file__).read_text().splitlines()) <= 30
