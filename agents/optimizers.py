"""Optimizers: gin's `adam` or one of the user's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from agents import errors, schedules

_KINDS = (tf.keras.optimizers.Optimizer, tf.keras.optimizers.legacy.Optimizer)


def made(choice: Any) -> Any:
    """The optimizer of a choice.

    Args:
      choice: a Keras optimizer, a function or class that makes one, or None for what gin
        configures as `adam`.

    Raises:
      ConfigError: it is something else.
    """
    if choice is None:
        return schedules.adam()
    optimizer = choice() if callable(choice) else choice
    if not isinstance(optimizer, _KINDS):
        raise errors.ConfigError(
            f'optimizer = {choice!r}: must be a function that returns a Keras optimizer, such as '
            f'@my_optimizer, and gives {optimizer!r}'
        )
    return optimizer


def create_variables(optimizer: Any, variables: Sequence[tf.Variable]) -> None:
    """Creates the optimizer's own variables, if there are none yet.

    A checkpoint read before they exist would not reach them, and one written before then would
    lack them.
    """
    _ = optimizer.iterations
    if hasattr(optimizer, 'build'):
        optimizer.build(variables)
    else:  # a legacy optimizer
        optimizer._create_all_weights(variables)
