"""The one error of this package that a user can fix."""

from __future__ import annotations


class ConfigError(ValueError):
    """A value that no agent can be built from.

    The message is one line: the parameter, its value, and what to do. A parameter that gin binds
    on a class or function of this package is named with it (`QLearningAgent.tau = 2.0: ...`); one
    that the caller passes is named alone (`target = 'hrad': ...`), and a program may put its own
    name in front.
    """
