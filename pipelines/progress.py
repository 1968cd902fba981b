"""What a run tells while it goes: progress.csv, TensorBoard, a live line, curve.png."""

from __future__ import annotations

import csv
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Sequence

import tensorflow as tf
import tqdm

from pipelines.reference import Ladder


def columns(more: Sequence[str]) -> tuple[str, ...]:
    """Of progress.csv: what every run has, and `more`."""
    return (
        'env_steps',
        'train_steps',
        'episodes',
        'return_mean_100',  # of the last 100 training episodes, raw reward
        'eval_return_mean',  # of the policy without exploration; empty where none was made
        *more,
        'env_steps_per_second',
        'wall_seconds',
    )


_TENSORBOARD_NAMES = {
    'return_mean_100': 'reward',
    'loss': 'avg loss',
    'eval_return_mean': 'evaluation reward',
}


class Cadence:
    """Says when a multiple of `interval` has been passed since the last time it said so."""

    def __init__(self, interval: int, start: int = 0):
        self._interval, self._passed = interval, start // interval

    def due(self, count: int) -> bool:
        """Whether `count` has reached the next multiple."""
        if count // self._interval == self._passed:
            return False
        self._passed = count // self._interval
        return True


class Progress:
    """Writes rows; its numbers go on where a checkpoint left them."""

    def __init__(
        self,
        directory: pathlib.Path,
        column_names: Sequence[str],
        unit: str,
        length: int,
        num_bytes: int,
        start: int,
    ):
        """Opens the files of `directory`.

        Args:
          directory: of the run.
          column_names: of progress.csv.
          unit: the column that tells how far the run is.
          length: where the run will end, in that unit.
          num_bytes: the length of progress.csv at the checkpoint the run goes on from;
            what was written after it is cut off. 0 for a new run.
          start: how far the run was at that checkpoint.
        """
        self.path = directory / 'progress.csv'
        self._file = open(self.path, 'a+', newline='')  # noqa: SIM115
        self._file.truncate(min(num_bytes, self.path.stat().st_size))
        self._file.seek(0)
        kept = _rows(self._file, column_names) if num_bytes else []
        if kept is None:
            damaged = self.path.with_suffix('.csv.damaged')
            print(f'{self.path} is damaged: it is {damaged.name} now, and a new one begins here')
            self._file.close()
            os.replace(self.path, damaged)
            self._file = open(self.path, 'a+', newline='')  # noqa: SIM115
            kept, num_bytes = [], 0
        self._file.seek(0, os.SEEK_END)
        self._csv = csv.DictWriter(self._file, column_names)
        if num_bytes == 0:
            self._csv.writeheader()
        # Events cannot be cut off: what is kept is written again.
        shutil.rmtree(directory / 'tensorboard', ignore_errors=True)
        self._tensorboard = tf.summary.create_file_writer(str(directory / 'tensorboard'))
        for row in kept:
            self._add_to_tensorboard(row)
        self._unit, self._total = unit, length
        self._started = (start, time.perf_counter())
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm.tqdm(total=length, initial=start, unit=f' {unit}', leave=False)

    def add(self, row: dict) -> None:
        """One row, with '' for what is not known."""
        self._csv.writerow({k: _short(v) for k, v in row.items()})
        self._file.flush()
        self._add_to_tensorboard(row)
        self._show(row)

    def _add_to_tensorboard(self, row: dict):
        with self._tensorboard.as_default(step=int(row['env_steps'])):
            for name, value in row.items():
                if name not in ('env_steps', 'wall_seconds') and value != '':
                    tf.summary.scalar(_TENSORBOARD_NAMES.get(name, name), float(value))

    def _show(self, row: dict):
        words = [
            f'{label} {_short(row[name]) or "-"}'
            for name, label in (('return_mean_100', 'return'), ('loss', 'loss'))
        ]
        words += [f'{name} {_short(row[name])}' for name in ('epsilon',) if name in row]
        if row['eval_return_mean'] != '':
            words.append(f'eval {_short(row["eval_return_mean"])}')
        count = row[self._unit]
        if self._bar is not None:
            self._bar.set_postfix_str(', '.join(words), refresh=False)
            self._bar.update(count - self._bar.n)
            return
        start, began = self._started
        seconds_each = (time.perf_counter() - began) / max(1, count - start)
        words.append(f'{row["env_steps_per_second"]:,.0f} steps/s')
        words.append(f'{max(0, self._total - count) * seconds_each:.0f} s left')
        print(f'{count:>9,} {self._unit.replace("_", " ")}: ' + ', '.join(words), flush=True)

    def sync(self) -> int:
        """Makes the rows so far survive a power cut; returns the length of progress.csv."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._tensorboard.flush()
        return self._file.tell()

    def close(self) -> None:
        """Closes the files and the live line."""
        self.sync()
        self._file.close()
        self._tensorboard.close()
        if self._bar is not None:
            self._bar.close()


def _rows(file, column_names: Sequence[str]) -> list[dict[str, str]] | None:
    """What is in progress.csv; None where that is not what this run wrote."""
    reader = csv.DictReader(file)
    try:
        rows = list(reader)
        for row in rows:
            int(row['env_steps'])
            [float(value) for value in row.values() if value != '']
    except (csv.Error, KeyError, TypeError, ValueError):
        return None
    return rows if reader.fieldnames == list(column_names) else None


def _short(value) -> str:
    return f'{value:.6g}' if isinstance(value, float) else str(value)


def draw_curve(
    progress_csv: pathlib.Path, png: pathlib.Path, title: str, ladder: Ladder | None = None
) -> None:
    """Draws return against environment steps from progress.csv, with published returns beside."""
    plt = _pyplot()
    rows = _read(progress_csv)
    figure, axes = plt.subplots(figsize=(7, 4), layout='constrained')
    axes.set_xlim(0, max(int(row['env_steps']) for row in rows))
    axes.plot(*_series(rows, 'return_mean_100'), label='training, last 100 episodes')
    axes.plot(*_series(rows, 'eval_return_mean'), '.-', label='greedy evaluation', linewidth=1)
    if ladder is not None:
        _draw_ladder(axes, ladder)
    axes.set(xlabel='environment steps', ylabel='return (raw reward)', title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, png)


def draw_metrics(progress_csv: pathlib.Path, png: pathlib.Path, title: str) -> None:
    """Draws what else is in progress.csv (losses, values, sigma ...), a panel for each."""
    plt = _pyplot()
    rows = _read(progress_csv)
    known = columns(())
    names = [n for n in rows[0] if n not in known and _series(rows, n)[0]]
    height = max(1, -(-len(names) // 3))
    figure, panels = plt.subplots(
        height, 3, figsize=(11, 2.6 * height), squeeze=False, layout='constrained'
    )
    figure.suptitle(title)
    for axes, name in zip(panels.flat, names, strict=False):
        axes.plot(*_series(rows, name), linewidth=1)
        axes.set(title=name, xlabel='environment steps')
        axes.grid(alpha=0.3)
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    _save(figure, png)


def _pyplot():
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    return pyplot


def _read(progress_csv: pathlib.Path) -> list[dict[str, str]]:
    with open(progress_csv, newline='') as f:
        return list(csv.DictReader(f))


def _series(rows: list[dict[str, str]], column: str) -> tuple[list[int], list[float]]:
    points = [(int(r['env_steps']), float(r[column])) for r in rows if r[column]]
    return [x for x, _ in points], [y for _, y in points]


def _save(figure, png: pathlib.Path):
    tmp = png.with_name(png.name + '.tmp')
    figure.savefig(tmp, dpi=120, format='png')
    _pyplot().close(figure)
    os.replace(tmp, png)


def _draw_ladder(axes, ladder: Ladder):
    """Published curves as far as the run goes, and the levels that do not dwarf it."""
    right, top = axes.get_xlim()[1], axes.get_ylim()[1]
    for (name, points), style in zip(ladder.curves.items(), (':', '--', '-.'), strict=False):
        within = [(x, y) for x, y in points if x <= 1.05 * right]
        if within:
            axes.plot(*zip(*within, strict=True), f's{style}', color='grey', markersize=3,
                      linewidth=1, label=name)  # fmt: skip
    top = max([top, *(y for points in ladder.curves.values() for x, y in points if x <= right)])
    for name, level in ladder.levels.items():
        if level <= 1.5 * top:
            axes.axhline(level, color='grey', linewidth=0.7)
            axes.text(
                0.01, level, f'{name} {level:g}', fontsize='small', va='bottom',
                transform=axes.get_yaxis_transform(),
            )  # fmt: skip
