"""What callbacks are told, what they may ask for, and what happens when one fails."""

import dataclasses
import json
import sys
import types

import pytest

from pipelines.errors import UserError
from pipelines.runs import callbacks
from pipelines.runs.callbacks import CallbackError, Callbacks


class Extent:
    """A run of 100 env steps of which 40 are done."""

    env_steps, train_steps, episodes, wall_seconds, is_complete = 40, 20, 4, 2.5, False

    def __init__(self):
        self.stops = []

    def stop(self, by, why):
        self.stops.append((by, why))


class Recorder:
    """Notes what it is told."""

    def __init__(self, answer=lambda run: None, moments=callbacks.MOMENTS, **attributes):
        self.told, self._answer = [], answer
        for moment in moments:
            setattr(self, moment, lambda run, moment=moment: self._note(moment, run))
        vars(self).update(attributes)

    def _note(self, moment, run):
        self.told.append((moment, run))
        return self._answer(run)


def fail(run):
    raise KeyError('lost')


def tell(told, *moments, directory='/run', extent=None, **metrics):
    for moment in moments:
        told.tell(moment, directory, extent or Extent(), metrics)


def test_a_callback_is_told_counters_metrics_and_directory():
    recorder = Recorder()
    tell(Callbacks([('m:R', recorder)]), 'after_turn', loss=0.5)
    ((moment, run),) = recorder.told
    assert moment == 'after_turn' and run.directory == '/run'
    assert (run.env_steps, run.train_steps, run.episodes, run.wall_seconds) == (40, 20, 4, 2.5)
    assert not run.is_complete and run.metrics == {'loss': 0.5}
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.env_steps = 0


def test_metrics_are_the_newest_of_each_even_where_nobody_listened():
    recorder = Recorder(moments=['end'])
    told = Callbacks([('m:R', recorder)])
    tell(told, 'after_turn', loss=0.5)
    tell(told, 'after_evaluation', eval_return_mean=7.0)
    tell(told, 'after_turn', loss=0.25)
    tell(told, 'end')
    assert [run.metrics for _, run in recorder.told] == [{'loss': 0.25, 'eval_return_mean': 7.0}]
    assert not told.wants('after_turn') and told.wants('end')


def test_the_first_reason_to_stop_is_handed_on_in_one_line_and_at_the_end_none():
    extent = Extent()
    told = Callbacks(
        [('m:A', Recorder()), ('m:B', Recorder(lambda run: run.stop('good\n enough')))]
    )
    tell(told, 'after_turn', extent=extent)
    assert extent.stops == [('m:B', 'good enough')]
    tell(told, 'end', extent=extent)
    assert extent.stops == [('m:B', 'good enough')]


def test_values_go_into_declared_columns_once():
    told = Callbacks([
        ('m:A', Recorder(lambda run: run.record(size=3), columns=('size', 'age'))),
        ('m:B', Recorder(columns=['hue'])),
    ])  # fmt: skip
    assert told.columns == ('size', 'age', 'hue')
    assert told.identity == {'columns of callbacks': 'size, age, hue'}
    tell(told, 'after_turn', 'after_turn')
    assert told.take_values() == {'size': 3.0} and told.take_values() == {}
    assert Callbacks([('m:A', Recorder())]).identity == {}


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ({'weight': 1.0}, "'weight' is not among the columns: ('size',)"),
        ({'size': 'large'}, "could not convert string to float: 'large'"),
    ],
)
def test_another_column_or_no_number_is_the_callbacks_failure(tmp_path, values, words):
    told = Callbacks([('m:A', Recorder(lambda run: run.record(**values), columns=('size',)))])
    tell(told, 'after_turn')
    with pytest.raises(CallbackError) as error:
        told.raise_failure(tmp_path)
    assert words in str(error.value)


@pytest.mark.parametrize('raised', [KeyError('lost'), SystemExit(3)])
def test_a_failure_names_callback_moment_line_and_the_file_of_its_traceback(tmp_path, raised):
    def fail_so(run):
        raise raised

    broken, other = Recorder(fail_so), Recorder()
    told = Callbacks([('m:Broken', broken), ('m:Other', other)])
    tell(told, 'after_turn', 'after_turn', 'after_evaluation', 'end')
    assert [moment for moment, _ in broken.told] == ['after_turn']
    assert [moment for moment, _ in other.told] == ['end']  # it may have files to close
    with pytest.raises(CallbackError) as error:
        told.raise_failure(tmp_path)
    message = str(error.value)
    assert '\n' not in message
    assert message.startswith(
        f"callback 'm:Broken' in after_turn failed: {type(raised).__name__}: "
    )
    assert f'{__file__}:' in message and f'the traceback is in {tmp_path}/callback_error.txt' in (
        message
    )
    traceback = (tmp_path / 'callback_error.txt').read_text()
    assert 'in fail_so' in traceback and 'Traceback' in traceback
    told.raise_failure(tmp_path)  # once


def test_nothing_is_written_where_nothing_failed(tmp_path):
    told = Callbacks([('m:A', Recorder())])
    tell(told, *callbacks.MOMENTS)
    told.raise_failure(tmp_path)
    assert not list(tmp_path.iterdir())


class Patient:
    """Counts evaluations, and keeps the count."""

    def __init__(self):
        self.seen = 0

    def after_evaluation(self, run):
        self.seen += 1

    def state(self):
        return {'seen': self.seen}

    def restore(self, state):
        self.seen = state['seen']


def test_a_checkpoint_keeps_the_state_of_each_by_name():
    told = Callbacks([('m:R', Recorder()), ('m:P', Patient())])
    tell(told, 'after_evaluation', 'after_evaluation')
    state = json.loads(json.dumps(told.state()))
    again = Patient()
    Callbacks([('m:P', again), ('m:New', Patient())]).restore(state)
    assert again.seen == 2


def test_a_state_that_cannot_be_kept_is_a_failure_and_the_last_one_stays(tmp_path):
    patient = Patient()
    told = Callbacks([('m:P', patient)])
    tell(told, 'after_evaluation')
    kept = told.state()
    patient.seen = object()
    assert told.state() == kept == [['m:P', {'seen': 1}]]
    with pytest.raises(CallbackError, match="'m:P' in state failed: TypeError: .* not JSON"):
        told.raise_failure(tmp_path)


def test_there_is_no_cost_without_callbacks():
    assert not Callbacks() and not Callbacks().wants('after_turn')


@pytest.mark.parametrize(
    ('attributes', 'words'),
    [
        ({'moments': []}, 'none of the methods start, after_turn, after_evaluation, end'),
        ({'after_turns': print}, "a method 'after_turns': did you mean 'after_turn'?"),
        ({'after_evalution': print}, "did you mean 'after_evaluation'?"),
        ({'columns': 'size'}, "columns = 'size': must be a list of names"),
        ({'columns': (1,)}, r'columns = \(1,\): must be a list of names'),
    ],
)
def test_an_object_that_is_no_callback_is_refused(attributes, words):
    with pytest.raises(UserError, match=words):
        Callbacks([('m:A', Recorder(**attributes))])


@pytest.fixture
def module(monkeypatch):
    """A module of a user's, `mine`, with one class."""
    mine = types.ModuleType('mine')
    mine.Mine = lambda **arguments: Recorder(columns=list(arguments.values()))
    monkeypatch.setitem(sys.modules, 'mine', mine)
    return mine


TRAINING = types.SimpleNamespace(metrics=('loss',), gauges={'epsilon': None})


def test_callbacks_are_made_with_their_arguments_and_told_apart(module):
    made = Callbacks.configured('train_ddqn', ['mine:Mine', ('mine:Mine', {'a': 'x'})], TRAINING)
    assert made.columns == ('x',)
    assert [name for name, _ in made.state()] == ['mine:Mine', 'mine:Mine (2)']


@pytest.mark.parametrize('column', ['loss', 'epsilon', 'eval_return_mean', 'x'])
def test_a_column_that_is_there_already_is_refused(module, column):
    entries = [('mine:Mine', {'a': column}), ('mine:Mine', {'a': 'x'})]
    with pytest.raises(UserError) as error:
        Callbacks.configured('train_ddqn', entries, TRAINING)
    assert str(error.value) == f"train_ddqn.callbacks: two columns would be called '{column}'"
