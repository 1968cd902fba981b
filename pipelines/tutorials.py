"""Lists the tutorials that this project was made from, and runs the experiment of one.

    python -m pipelines.tutorials
    python -m pipelines.tutorials run double-q --quick
    python -m pipelines.tutorials run double-q
    python -m pipelines.tutorials page double-q

The first command lists them. A tutorial is named by its number, by any unique part of its title,
or by words of the system that it builds; hyphens are spaces. `run` makes the runs that are missing
and writes <root_dir>/index.html, one page that opens offline; `page` rewrites the page from what
has finished so far. If `run` is stopped or killed, run it again: finished runs are not repeated,
and the others resume from their checkpoints.
"""

from __future__ import annotations

import importlib.util
import pathlib
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from pipelines import cli
from pipelines.errors import UserError
from pipelines.posts import catalogue

if TYPE_CHECKING:
    from pipelines.posts.catalogue import Tutorial

_FLAGS = flags.FlagValues()
_ROOT_DIR = flags.DEFINE_string(
    'root_dir', None, 'Directory of the runs and the page; runs/tutorials/<name> by default.',
    flag_values=_FLAGS,
)  # fmt: skip
_QUICK = flags.DEFINE_boolean(
    'quick', False, 'A shorter form, which shows that everything runs.', flag_values=_FLAGS
)
_PROCESSES = flags.DEFINE_integer(
    'processes', 2, 'How many runs are made at the same time.', flag_values=_FLAGS
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    program, *rest = sys.argv if argv is None else argv
    words = [argument for argument in rest if not argument.startswith('-')]
    given = [argument for argument in rest if argument.startswith('-')]
    return cli.run(lambda: _main(words), __doc__, _FLAGS, [program, *given])


def _main(words: Sequence[str]) -> None:
    verb, *which = words or ['list']
    if verb not in ('list', 'run', 'page'):
        raise UserError(f"'{verb}': must be list, run or page, as in: run double-q")
    tutorials = catalogue.load_all()
    if verb == 'list':
        if which:
            raise UserError(f"'{' '.join(which)}': list takes nothing; did you mean run?")
        print('\n'.join(_list(tutorials)))
        return
    tutorial = catalogue.find(' '.join(which), tutorials)
    if importlib.util.find_spec('rliable') is None:
        raise UserError("this needs rliable: pip install -c constraints.txt -e '.[compare]'")
    if verb == 'run':
        _run(tutorial)
    else:
        _page(tutorial)


def _list(tutorials: Sequence[Tutorial]) -> list[str]:
    return [
        'The tutorials, and how long their experiments take on two cores:',
        '',
        *catalogue.in_lines(tutorials),
        'python -m pipelines.tutorials run 2             # or any unique part of a title',
        'python -m pipelines.tutorials run double-q --quick',
    ]


def _root(tutorial: Tutorial) -> str:
    return _ROOT_DIR.value or tutorial.default_root(_QUICK.value)


def _run(tutorial: Tutorial) -> None:
    """Makes the missing runs, then the page.

    Raises:
      UserError: the runs cannot be made, or some failed (the page shows the others).
    """
    if not 1 <= _PROCESSES.value <= 1_000:
        raise UserError(f'--processes={_PROCESSES.value}: must be at least 1 and at most 1,000')
    from pipelines import signals
    from pipelines.posts import page, running
    from pipelines.runs import run_dir

    plan = tutorial.plan(_QUICK.value)
    minutes = tutorial.quick_minutes if _QUICK.value else tutorial.minutes
    print(f'{tutorial.title}: about {catalogue.duration(minutes)} on two cores', flush=True)
    with (
        run_dir.RunDir(_root(tutorial)) as root,
        signals.stop_on_signal() as stop_requested,
    ):
        failed = running.make_missing(
            plan,
            root.path,
            _PROCESSES.value,
            stop_requested,
            length=tutorial.length,
            checked=cli.CHECKED,
        )
        if failed is None:
            return
        made = page.Made(_command(tutorial, _QUICK.value), _QUICK.value, failed)
        print(f'the page is {page.write(tutorial, plan, root.path, made)}')
    if failed:
        name, said = next(iter(failed.items()))
        raise UserError(
            f'{len(failed)} runs failed; {name}: {said} (see its .log in {root.path}; run the same '
            'command to try failed runs again)'
        )


def _page(tutorial: Tutorial) -> None:
    """Rewrites the page from what has finished so far.

    Raises:
      UserError: nothing has been run there.
    """
    from pipelines.posts import page, running

    root = pathlib.Path(_root(tutorial)).expanduser().absolute()
    if not (root / 'experiment.json').exists():
        raise UserError(
            f"--root_dir='{_root(tutorial)}' holds no runs of this tutorial; "
            f'{_command(tutorial, _QUICK.value)} makes them'
        )
    quick = running.is_quick(root, tutorial.quick_bindings)
    made = page.Made(_command(tutorial, quick), quick, {})
    print(f'the page is {page.write(tutorial, tutorial.plan(quick), root, made)}')


def _command(tutorial: Tutorial, quick: bool) -> str:
    """The command that makes the runs; it can be typed again."""
    words = ['python', '-m', 'pipelines.tutorials', 'run', tutorial.name.replace('_', '-')]
    words += ['--quick'] if quick else []
    words += [f'--root_dir={_ROOT_DIR.value}'] if _ROOT_DIR.value else []
    return shlex.join(words)


if __name__ == '__main__':
    sys.exit(main())
