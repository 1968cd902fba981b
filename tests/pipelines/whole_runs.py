"""What tests of whole runs share: their output, their files, and one proof for many exports."""

import contextlib
import csv
import json
import os
import pathlib
import sys
import tempfile
from unittest import mock

from tensorboard.backend.event_processing import event_accumulator

from pipelines import files, json_files, signals
from pipelines.runs import export


class Printed:
    """What was printed; filled when `printed` ends."""

    out = err = ''


@contextlib.contextmanager
def printed():
    """Catches standard output and error, native libraries' included.

    For fixtures: pytest's `capfd` is for single tests.
    """
    result, saved = Printed(), (os.dup(1), os.dup(2))
    with tempfile.TemporaryFile('w+') as out, tempfile.TemporaryFile('w+') as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                yield result
        finally:
            for descriptor, was in zip((1, 2), saved):
                os.dup2(was, descriptor)
                os.close(was)
            for name, file in (('out', out), ('err', err)):
                file.seek(0)
                setattr(result, name, file.read())


class RunsOfOneProof:
    """Small runs, each made when it is asked for, whose policies are proven together.

    A proof starts a process that imports TensorFlow, which takes longer than a small run. A
    run made here does everything but its export, and evaluates the live policy instead; the
    first policy that is asked for exports and proves those of all runs.
    """

    def __init__(self, directory, programs):
        """`programs` maps a run's name to (program, function from a directory to flags)."""
        self._directory, self._programs = directory, programs
        self._printed, self._exports, self._cards, self._proven = {}, {}, {}, None

    def run(self, name):
        """The directory of the run `name`."""
        root = self._directory / str(list(self._programs).index(name))
        if name not in self._printed:
            program, arguments = self._programs[name]
            note = mock.patch.object(export, 'proven_exports', self._note)
            with printed() as said, note:
                code = program.main(arguments(root))
            assert code == 0, said.err
            self._printed[name] = said
        return root

    def output(self, name):
        """What the run `name` printed to standard output."""
        self.run(name)
        return self._printed[name].out

    def errors(self, name):
        """What the run `name` printed to standard error."""
        self.run(name)
        return self._printed[name].err

    @contextlib.contextmanager
    def _note(self, root, exports, card):
        """In place of `export.proven_exports`."""
        self._exports |= {f'{root.name}-{name}': each for name, each in exports.items()}
        self._cards |= {f'{root.name}-{name}': card for name in exports}
        yield {name: each.policy for name, each in exports.items()}

    def policy(self, name, exported='policy'):
        """The directory of an exported, proven policy of the run `name`."""
        root = self.run(name)
        if self._proven is None:
            for other in self._programs:
                with contextlib.suppress(Exception):  # it fails where it is asked for
                    self.run(other)
            self._proven = self._directory / 'policies'
            self._proven.mkdir()
            with export.proven_exports(self._proven, self._exports, card={'env_name': ''}):
                pass
            for exported_as, card in self._cards.items():
                change_card(self._proven / exported_as, **card)
        return self._proven / f'{root.name}-{exported}'


def change_card(policy_dir, **entries):
    """Changes entries of an exported policy's card, as if it had been exported so."""
    card, report = (policy_dir / f'{name}.json' for name in ('policy_card', 'export_report'))
    json_files.write(card, json.loads(card.read_text()) | entries)
    about = json.loads(report.read_text())
    about['files']['policy_card.json'] = files.checksum(card)
    json_files.write(report, about)


@contextlib.contextmanager
def stopped_after(num_turns):
    """Every run is asked to stop when it has taken so many turns."""

    @contextlib.contextmanager
    def stop_on_signal():
        turns = iter(range(num_turns))
        yield lambda: next(turns, None) is None

    with mock.patch.object(signals, 'stop_on_signal', stop_on_signal):
        yield


def read_json(root_dir, name):
    return json.loads((pathlib.Path(root_dir) / name).read_text())


def is_proven(policy_dir):
    return read_json(policy_dir, 'export_report.json')['proven']


def progress(root_dir):
    """The rows of progress.csv, by column."""
    with open(pathlib.Path(root_dir) / 'progress.csv', newline='') as f:
        return list(csv.DictReader(f))


def episodes(root_dir):
    """The rows of episodes.csv, by column."""
    with open(pathlib.Path(root_dir) / 'episodes.csv', newline='') as f:
        return list(csv.DictReader(f))


def scalars(root_dir):
    """What TensorBoard shows of a run, by name: [(step, value)]."""
    reader = event_accumulator.EventAccumulator(
        str(pathlib.Path(root_dir) / 'tensorboard'), size_guidance={'scalars': 0}
    )
    reader.Reload()
    return {
        name: [(event.step, event.value) for event in reader.Scalars(name)]
        for name in reader.Tags()['scalars']
    }


def newest_state(root_dir):
    """What the newest checkpoint keeps besides variables."""
    newest = sorted((pathlib.Path(root_dir) / 'checkpoints').glob('0*'))[-1]
    return json.loads((newest / 'state.json').read_text())


def of_tests(tmp_path):
    """A test's directory and those above it that are pytest's too."""
    return [place for place in (tmp_path, *tmp_path.parents) if 'pytest-of' in str(place)]


def command(program, *flags):
    return [sys.executable, '-m', f'pipelines.{program}', *flags]
