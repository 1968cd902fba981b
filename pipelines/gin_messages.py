"""gin's complaints as one line that shows what to type."""

from __future__ import annotations

import difflib
import inspect
import re

import gin

from pipelines import declared, vocabulary
from pipelines.gin_files import Bound, GinError

# Renamed parameters, and the binding to use instead.
_RENAMED = {('train_ddqn', 'categorical'): "train_ddqn.distribution = 'categorical'"}
_BINDING = re.compile(r'([A-Za-z_][\w./]*)\s*=(?!=)\s*(.*)')
# Configurables that users bind most, for suggestions.
_CONFIGURABLES = (
    'train_ddqn', 'train_reinforce', 'Replay', 'QLearningAgent', 'PolicyGradientAgent', 'adam',
    'mlp_torso', 'conv_torso', 'make_q_network', 'make_actor_critic_network', 'LinearSchedule',
    'ExponentialSchedule', 'Prioritisation', 'C51Network', 'MunchausenQLearningAgent', 'NoisyDense',
    'load_environment', 'NoisyReward', 'atari',
)  # fmt: skip


def in_one_line(error: GinError, program: str) -> str:
    """The message for a statement that gin did not understand; `program` is the one that runs."""
    where = f"in '{error.text}'"
    if error.path is not None:
        where = f"in '{error.path}', line {error.line}, '{error.text}'"
    return f'gin: {where}: {_complaint(error, program)}'


def used_by_nothing(bound: Bound) -> str:
    """The message for a binding that no part of the run has asked for."""
    place = f" (it stands in '{bound.path}', line {bound.line})" if bound.path is not None else ''
    if bound.selector == 'gin.macro':
        meant = vocabulary.what_to_bind('train_ddqn', bound.name, str(bound.value))
        if meant and bound.path is None:
            meant = vocabulary.as_argument(meant)
        cure = f'write {meant}' if meant else 'remove it, or use it as %' + bound.name
    else:
        name = bound.selector.rpartition('.')[2]
        by = vocabulary.SWITCHED_ON_BY.get(name)
        cure = 'remove it, or switch on what it configures' + (f' ({by})' if by else '')
    return f"gin: the binding '{bound}' is used by nothing in this run: {cure}{place}"


def undefined(error: ValueError, source: str) -> str:
    """The message for what gin finds at the end: a macro that no line defines."""
    message = str(error).strip().split('\n')[0]
    if macro := re.search(r"No bindings specified for '([\w/]+)/gin\.macro'", message):
        name = macro[1]
        message = f'no line says what %{name} is: write {name} = VALUE'
    return f"gin: in '{source}': {message}"


def _complaint(error: GinError, program: str) -> str:
    message = str(error.cause).strip().split('\n')[0]
    value = getattr(error.cause, 'value', '')  # as Python writes it
    if bound := re.search(
        r"Configurable '([\w.]+)' doesn't have a parameter named '(\w+)'", message
    ):
        name, parameter = bound.groups()
        cure = _cure(name, parameter, value, error, program)
        return f"'{name}' has no parameter '{parameter}': {cure}"
    if message.startswith("No configurable matching 'atari'"):
        return "this needs ale-py: pip install -c constraints.txt -e '.[atari]'"
    if unknown := re.search(
        r"(No configurable matching (?:reference )?'(@?)([\w./]+)(?:\(\))?')", message
    ):
        said, sign, name = unknown.groups()
        return f'{said}: {_instead_of_unknown(name, sign, error, value, program)}'
    if isinstance(error.cause, SyntaxError) or 'multi-line' in message:
        return _of_syntax(error, message, program)
    return message


def _cure(name: str, parameter: str, value: str, error: GinError, program: str) -> str:
    if renamed := _RENAMED.get((name, parameter)):
        return f'use {renamed} instead'
    of = name if name in vocabulary.PROGRAMS else program
    if meant := vocabulary.what_to_bind(of, parameter, value):
        return _to_type(meant, error)
    if flag := vocabulary.what_to_type(of, parameter, value):
        return f'write {flag}'
    parameters = [p for p, limits in declared.parameters(name).items() if limits is not None]
    if not parameters:  # a configurable of the user's
        signature = inspect.signature(gin.get_configurable(name)).parameters
        parameters = [p for p in signature if signature[p].default is not signature[p].empty]
        parameters = [p for p in parameters if _exists(f'{name}.{p}')]
    near = difflib.get_close_matches(parameter, parameters, n=3, cutoff=0.4)
    return f'did you mean {", ".join(near)}?' if near else 'it takes ' + ', '.join(parameters)


def _instead_of_unknown(name: str, sign: str, error: GinError, value: str, program: str) -> str:
    near = difflib.get_close_matches(name, _CONFIGURABLES, n=3, cutoff=0.6)
    if near:
        return f'did you mean {", ".join(sign + n for n in near)}?'
    typed = _BINDING.match(error.text)
    if not sign and typed and '.' in typed[1]:
        meant = vocabulary.what_to_bind(program, typed[1].rpartition('.')[2], value)
        if meant:
            return _to_type(meant, error)
    return (
        'what is yours needs @gin.configurable, and its module a line `import my_module` before '
        'this one'
    )


def _of_syntax(error: GinError, message: str, program: str) -> str:
    """For a line that is not a statement of gin's."""
    typed = _BINDING.match(error.text.split('  #')[0])
    if typed is None:
        return _without_equals_sign(error, message)
    name, value = typed[1], typed[2].strip()
    if not value:
        return f'the value is missing after {name} ='
    if re.search(r'[;,]\s*[A-Za-z_][\w./]*\s*=', value):
        return 'one binding at a time, each with a --gin_bindings (in a file, a line) of its own'
    meant = vocabulary.as_python(value)
    if meant == value:
        return _in_words(error, message)
    if re.fullmatch(r'\w+', value) and _is_configurable(value):
        meant = f'@{value}'
    instead = (
        None if _exists(name) else vocabulary.what_to_bind(program, name.rpartition('.')[2], value)
    )
    return _to_type(instead or f'{name} = {meant}', error)


def _without_equals_sign(error: GinError, message: str) -> str:
    words = re.fullmatch(r'([A-Za-z_]\w*[./][\w./]+)(?:\s*(?:==|:=|:)\s*|\s+|$)(.*)', error.text)
    if words is None:
        return _in_words(error, message)
    name, value = words[1], vocabulary.as_python(words[2]) or 'VALUE'
    why = 'a binding is NAME = VALUE' if '=' in error.text else 'it has no "="'
    return f'{why}: {_to_type(f"{name} = {value}", error)}'


def _in_words(error: GinError, message: str) -> str:
    """gin's own message, and what a binding looks like."""
    if 'multi-line' in message:
        return 'the line has no end: brackets come in pairs, and so do quotes'
    message = re.sub(r' \(.*line \d+\)$', '', message).rstrip('.')
    return f'{message}; a binding is NAME = VALUE, such as train_ddqn.gamma = 0.99'


def _to_type(binding: str, error: GinError) -> str:
    """What to type: an argument of a command, or a line of a file."""
    return f'write {vocabulary.as_argument(binding) if error.path is None else binding}'


def _is_configurable(name: str) -> bool:
    if declared.is_ours(name):
        return True
    try:
        gin.get_configurable(name)
    except ValueError:
        return False
    return True


def _exists(name: str) -> bool:
    if '.' not in name:
        return False
    selector, _, parameter = name.rpartition('/')[2].rpartition('.')
    if declared.is_ours(selector):
        return parameter in declared.parameters(selector.rpartition('.')[2])
    try:
        gin.config.ParsedBindingKey.parse(name)
    except (ValueError, KeyError):
        return False
    return True
