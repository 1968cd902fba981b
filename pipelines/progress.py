"""What a run tells while it goes: progress.csv, TensorBoard, a live line, curve.png."""

from __future__ import annotations

import csv
import os
import pathlib
import shutil
import sys

import tensorflow as tf
import tqdm

from pipelines.reference import Ladder

COLUMNS = (
    'env_steps',
    'train_steps',
    'episodes',
    'return_mean_100',  # of the last 100 training episodes, raw reward
    'eval_return_mean',  # of the greedy policy; empty where none was made
    'loss',
    'mean_q',
    'epsilon',
    'policy_lag_train_steps',  # how old the weights that acted became, at most
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
    """Writes rows of `COLUMNS`; its numbers go on where a checkpoint left them."""

    def __init__(self, directory: pathlib.Path, num_env_steps: int, num_bytes: int, start: int):
        """Opens the files of `directory`.

        Args:
          directory: of the run.
          num_env_steps: where the run will end.
          num_bytes: the length of progress.csv at the checkpoint the run goes on from;
            what was written after it is cut off. 0 for a new run.
          start: environment steps at that checkpoint.
        """
        self.path = directory / 'progress.csv'
        self._file = open(self.path, 'a+', newline='')  # noqa: SIM115
        self._file.truncate(min(num_bytes, self.path.stat().st_size))
        self._file.seek(0)
        kept = list(csv.DictReader(self._file))
        self._file.seek(0, os.SEEK_END)
        self._csv = csv.DictWriter(self._file, COLUMNS)
        if num_bytes == 0:
            self._csv.writeheader()
        # Events cannot be cut off: what is kept is written again.
        shutil.rmtree(directory / 'tensorboard', ignore_errors=True)
        self._tensorboard = tf.summary.create_file_writer(str(directory / 'tensorboard'))
        for row in kept:
            self._add_to_tensorboard(row)
        self._total = num_env_steps
        self._bar = None
        if sys.stderr.isatty():
            self._bar = tqdm.tqdm(total=num_env_steps, initial=start, unit=' steps', leave=False)

    def add(self, row: dict) -> None:
        """One row; keys are `COLUMNS`, with '' for what is not known."""
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
            f'return {_short(row["return_mean_100"]) or "-"}',
            f'loss {_short(row["loss"]) or "-"}',
            f'epsilon {_short(row["epsilon"])}',
        ]
        if row['eval_return_mean'] != '':
            words.append(f'eval {_short(row["eval_return_mean"])}')
        if self._bar is not None:
            self._bar.set_postfix_str(', '.join(words), refresh=False)
            self._bar.update(row['env_steps'] - self._bar.n)
            return
        speed = row['env_steps_per_second']
        left = (self._total - row['env_steps']) / speed if speed else 0
        words += [f'{speed:,.0f} steps/s', f'{max(0, left):.0f} s left']
        print(f'{row["env_steps"]:>9,} env steps: ' + ', '.join(words), flush=True)

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


def _short(value) -> str:
    return f'{value:.6g}' if isinstance(value, float) else str(value)


def draw_curve(
    progress_csv: pathlib.Path, png: pathlib.Path, title: str, ladder: Ladder | None = None
) -> None:
    """Draws return against environment steps from progress.csv, with published returns beside."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    with open(progress_csv, newline='') as f:
        rows = list(csv.DictReader(f))

    def series(column):
        points = [(int(r['env_steps']), float(r[column])) for r in rows if r[column]]
        return [x for x, _ in points], [y for _, y in points]

    figure, axes = plt.subplots(figsize=(7, 4), layout='constrained')
    axes.set_xlim(0, max(int(row['env_steps']) for row in rows))
    axes.plot(*series('return_mean_100'), label='training, last 100 episodes')
    axes.plot(*series('eval_return_mean'), '.-', label='greedy evaluation', linewidth=1)
    if ladder is not None:
        _draw_ladder(axes, ladder)
    axes.set(xlabel='environment steps', ylabel='return (raw reward)', title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    tmp = png.with_name(png.name + '.tmp')
    figure.savefig(tmp, dpi=120, format='png')
    plt.close(figure)
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
