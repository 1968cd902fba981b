"""What other libraries call a setting, and what to type here.

Newcomers write `--env=CartPole-v1`, `--total_timesteps=1e6` or `train_ddqn.learning_rate=0.01`. An
error for such a word shows the binding, or the flag, that does it here.
"""

from __future__ import annotations

import ast
import re

# Ours first; {program} is train_ddqn or train_reinforce. Words are lower case, with underscores.
_BINDINGS = {
    '{program}.env_name': 'env env_id env_name gym_id environment environment_id game task',
    '{program}.num_envs': 'num_envs n_envs num_environments num_workers num_actors',
    '{program}.gamma': 'gamma discount discount_factor discount_rate',
    '{program}.num_episodes': 'episodes num_episodes n_episodes max_episodes',
    '{program}.video_interval_episodes': 'video capture_video record_video render save_video',
    '{program}.num_eval_episodes': 'eval_episodes n_eval_episodes num_eval_episodes',
    'adam.learning_rate': 'learning_rate lr step_size',
    'mlp_torso.units': 'hidden_units hidden_sizes hidden_size hidden_dim net_arch fc_units '
    'fc_layer_params layers units',
}
_OF_DDQN = {
    'train_ddqn.num_env_steps': 'total_timesteps timesteps num_timesteps total_steps num_steps '
    'steps max_steps num_env_steps env_steps num_iterations iterations',
    'train_ddqn.batch_size': 'batch_size minibatch_size batch',
    'train_ddqn.min_replay_transitions': 'learning_starts learning_start min_replay_size '
    'initial_collect_steps warmup_steps start_steps',
    'train_ddqn.train_steps_per_env_step': 'train_freq train_frequency replay_ratio utd',
    'train_ddqn.double': 'double double_q double_dqn ddqn',
    'train_ddqn.dueling': 'dueling dueling_dqn',
    'train_ddqn.distribution': 'distributional categorical c51',
    'train_ddqn.prioritised': 'prioritized prioritized_replay per',
    'train_ddqn.noisy': 'noisy_nets noisy_net noisynet',
    'train_ddqn.n_step': 'n_step n_steps nstep multi_step n_step_update',
    'train_ddqn.frame_stack': 'framestack frame_stack stack_size num_stack',
    'train_ddqn.eval_interval_env_steps': 'eval_freq eval_interval eval_every evaluation_interval',
    'train_ddqn.log_interval_env_steps': 'log_interval log_freq log_every',
    'train_ddqn.checkpoint_interval_env_steps': 'save_freq checkpoint_freq checkpoint_interval',
    'Replay.capacity_transitions': 'buffer_size replay_size replay_capacity memory_size capacity '
    'replay_buffer_size replay_buffer_capacity buffer_capacity',
    'Prioritisation.alpha': 'prioritized_replay_alpha alpha',
    'Prioritisation.beta': 'prioritized_replay_beta beta',
    'QLearningAgent.tau': 'tau polyak',
    'QLearningAgent.target_update_period_train_steps': 'target_update target_update_interval '
    'target_update_period target_network_frequency target_network_update_freq target_update_freq '
    'sync_freq',
    'QLearningAgent.epsilon': 'epsilon eps exploration epsilon_greedy exploration_rate',
    'epsilon/LinearSchedule.initial': 'start_e eps_start epsilon_start exploration_initial_eps '
    'initial_epsilon',
    'epsilon/LinearSchedule.final': 'end_e eps_end epsilon_end exploration_final_eps '
    'final_epsilon min_epsilon eps_min epsilon_min',
    'epsilon/LinearSchedule.decay_steps': 'exploration_fraction eps_decay epsilon_decay '
    'epsilon_decay_steps exploration_steps eps_decay_steps',
    'QLearningAgent.loss': 'loss loss_fn td_errors_loss_fn',
    'QLearningAgent.gradient_clip_norm': 'max_grad_norm gradient_clipping clip_norm grad_clip',
}
_OF_REINFORCE = {
    'train_reinforce.num_episodes': 'total_timesteps timesteps num_timesteps total_steps '
    'num_env_steps steps num_iterations iterations',
    'train_reinforce.baseline': 'use_baseline critic value_function',
    'train_reinforce.eval_interval_episodes': 'eval_freq eval_interval eval_every',
    'train_reinforce.log_interval_episodes': 'log_interval log_freq log_every',
    'train_reinforce.checkpoint_interval_episodes': 'save_freq checkpoint_freq checkpoint_interval',
    'PolicyGradientAgent.entropy_coefficient': 'ent_coef entropy_coef entropy_coeff entropy_bonus '
    'entropy_regularization',
    'PolicyGradientAgent.gradient_clip_norm': 'max_grad_norm gradient_clipping clip_norm grad_clip',
}
_FLAGS = {
    '--root_dir': 'root_dir logdir log_dir save_dir output_dir out_dir outdir output exp_name '
    'run_dir name',
    '--seed': 'seed random_seed',
    '--gin_file': 'gin_file config config_file gin_config gin gin_files',
    '--gin_bindings': 'gin_bindings bindings binding gin_binding gin_params gin_param set override',
}
_EVALUATE_FLAGS = {
    '--policy_dir': 'policy model model_path policy_path load checkpoint load_path root_dir '
    'run_dir logdir',
    '--episodes': 'num_episodes n_episodes n_eval_episodes eval_episodes num_eval_episodes n',
    '--env_name': 'env env_id gym_id environment game',
    '--video': 'render gif record capture_video record_video film',
    '--epsilon': 'eps eval_epsilon exploration',
    '--json': 'output out output_file report',
}


def _by_word(*tables: dict[str, str]) -> dict[str, str]:
    return {
        word: ours for table in tables for ours, words in table.items() for word in words.split()
    }


_KNOWN = {
    'train_ddqn': _by_word(_BINDINGS, _OF_DDQN, _FLAGS),
    'train_reinforce': _by_word(_BINDINGS, _OF_REINFORCE, _FLAGS),
    'evaluate': _by_word(_EVALUATE_FLAGS),
}


PROGRAMS = tuple(_KNOWN)
# Where a parameter is looked for in the wrong place, the program whose words are meant.
PROGRAM_OF = {
    'PolicyGradientAgent': 'train_reinforce',
    'make_actor_critic_network': 'train_reinforce',
}


def what_to_type(program: str, word: str, value: str | None = None) -> str | None:
    """What sets here what another library calls `word`.

    Args:
      program: such as 'train_ddqn'.
      word: a flag's name, or a parameter's.
      value: as it was typed; None if it is not known.

    Returns:
      Such as `--gin_bindings="adam.learning_rate = 0.01"`; None if the word is unknown.
    """
    ours = _KNOWN.get(program, {}).get(word.lower().replace('-', '_').strip('_'))
    if ours is None:
        return None
    if ours == '--gin_bindings':
        return '--gin_bindings="name = value"'
    if ours.startswith('--'):
        return ours if value is None else f'{ours}={value}'
    return binding(ours.format(program=program), value)


def binding(name: str, value: str | None) -> str:
    """The flag that binds `name`, for a shell; without a value the name alone."""
    return name if value is None else f'--gin_bindings="{name} = {as_python(value)}"'


def as_python(typed: str) -> str:
    """What was typed as gin takes it: a whole number for 1e6, quotes around text.

    A shell takes the quotes of env_name='CartPole-v1' away, so CartPole-v1 arrives.
    """
    text = typed.strip()
    words = {'true': 'True', 'false': 'False', 'none': 'None', 'null': 'None'}
    if text.lower() in words:
        return words[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        word = text.strip('\'"')
        return repr(word) if re.fullmatch(r'[\w./:-]*', word) else text
    if isinstance(value, float) and value.is_integer() and 'e' in text.lower() and value >= 1.0:
        return f'{int(value):_}'
    return text
