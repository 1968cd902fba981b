"""What other libraries call a setting, and what to type here.

Newcomers write `--env=CartPole-v1`, `--total_timesteps=1e6` or `train_ddqn.learning_rate=0.01`. An
error for such a word shows the binding, or the flag, that does it here. The words are those of
Stable-Baselines3, CleanRL, Dopamine, TF-Agents, RLlib, Keras-RL and of tutorials.
"""

from __future__ import annotations

import ast
import re

PROGRAMS = ('train_ddqn', 'train_reinforce')  # that gin configures

# A binding with a value that shows its form, and others' words for it; {program} is the program.
_SETTINGS = {
    "{program}.env_name = 'CartPole-v1'": 'env envs env_id envid gym_id gym_env environment '
    'environment_name environment_id game',
    '{program}.num_env_steps = 50_000': 'total_timesteps timesteps total_steps total_frames frames '
    'num_timesteps n_timesteps steps num_steps nb_steps max_steps num_frames max_frames '
    'training_steps train_steps num_training_steps num_iterations iterations max_timesteps '
    'total_env_steps env_steps',
    '{program}.num_episodes = 1_000': 'episodes n_episodes nb_episodes max_episodes total_episodes '
    'train_episodes epochs',
    '{program}.num_envs = 16': 'n_envs num_env nenvs nb_envs num_workers n_env workers '
    'num_environments num_actors',
    '{program}.gamma = 0.99': 'discount discount_factor discount_rate',
    '{program}.num_eval_episodes = 100': 'eval_episodes n_eval_episodes evaluation_episodes '
    'nb_eval_episodes',
    '{program}.video_interval_episodes = 100': 'video capture_video record_video save_video render '
    'render_mode record video_freq film',
    'train_ddqn.eval_interval_env_steps = 1_000': 'eval_freq eval_interval evaluation_interval '
    'eval_every evaluate_every eval_frequency',
    'train_ddqn.checkpoint_interval_env_steps = 10_000': 'save_freq checkpoint_freq save_every '
    'checkpoint_interval save_interval checkpoint_every',
    'train_ddqn.log_interval_env_steps = 1_000': 'log_interval log_freq log_every log_frequency '
    'print_freq print_every verbose',
    'train_ddqn.batch_size = 64': 'batch minibatch_size mini_batch_size train_batch_size batchsize '
    'minibatch',
    'train_ddqn.min_replay_transitions = 1_000': 'learning_starts train_starts train_start warmup '
    'warmup_steps nb_steps_warmup min_replay_history min_replay_size replay_start_size burn_in '
    'start_steps learning_start initial_collect_steps learn_start start_training_after',
    'train_ddqn.train_steps_per_env_step = 0.25': 'train_freq train_frequency update_freq '
    'update_frequency update_every update_period update_interval learn_every gradient_steps '
    'replay_ratio utd utd_ratio updates_per_step train_interval train_every train_period',
    'train_ddqn.n_step = 3': 'n_steps nstep n_step_update multi_step multi_steps update_horizon '
    'n_step_return',
    'train_ddqn.double = True': 'double_q double_dqn ddqn enable_double_dqn',
    'train_ddqn.dueling = True': 'dueling_dqn dueling_network enable_dueling',
    'train_ddqn.noisy = True': 'noisy_net noisy_nets noisynet noisy_network',
    'train_ddqn.prioritised = True': 'prioritized prioritized_replay prioritised_replay per '
    'prioritized_replay_buffer use_per',
    "train_ddqn.distribution = 'categorical'": 'c51 categorical distributional',
    "train_ddqn.target = 'hard'": 'target_network use_target_network',
    'train_ddqn.frame_stack = 4': 'num_stack stack_size history_length agent_history_length '
    'framestack stack frame_stacking',
    "train_reinforce.baseline = 'value'": 'use_baseline value_baseline critic value_function',
    'adam.learning_rate = 0.001': 'lr step_size policy_lr q_lr critic_lr actor_lr learn_rate '
    'learningrate optimizer_lr',
    'mlp_torso.units = (64, 64)': 'hidden_units hidden_size hidden_sizes hidden hidden_dim '
    'hidden_dims hidden_layers hidden_layer_sizes layers layer_sizes net_arch fc_layer_params '
    'fc_layers fc_units num_units fcnet_hiddens policy_kwargs mlp_units network_units',
    'make_q_network.torso = @mlp_torso': 'network policy_network q_network net policy policy_type '
    'feature_extractor',
    'make_q_network.stream_units = (64,)': 'dueling_units stream_layers',
    "make_q_network.compute_dtype = 'float32'": 'dtype precision mixed_precision fp16 bf16',
    'QLearningAgent.epsilon = 0.1': 'eps epsilon_greedy exploration_rate exploration random_eps '
    'epsilon_train',
    'adam.epsilon = 1e-7': 'adam_epsilon adam_eps optimizer_epsilon',
    'epsilon/LinearSchedule.initial = 1.0': 'epsilon_start start_epsilon eps_start start_e '
    'initial_epsilon epsilon_initial exploration_initial_eps max_epsilon epsilon_max',
    'epsilon/LinearSchedule.final = 0.05': 'epsilon_end end_epsilon eps_end end_e final_epsilon '
    'epsilon_final min_epsilon epsilon_min eps_min exploration_final_eps final_eps',
    'epsilon/LinearSchedule.decay_steps = 8_000': 'epsilon_decay eps_decay epsilon_decay_steps '
    'epsilon_decay_period exploration_fraction epsilon_timesteps exploration_steps '
    'epsilon_decay_rate eps_decay_steps',
    'QLearningAgent.target_update_period_train_steps = 256': 'target_update_interval sync_every '
    'target_network_frequency target_update_period target_update_freq target_network_update_freq '
    'target_network_update_period target_update_every target_model_update target_update '
    'target_update_frequency sync_freq',
    'QLearningAgent.tau = 0.005': 'polyak soft_update_tau target_update_tau',
    'QLearningAgent.gradient_clip_norm = 10.0': 'max_grad_norm grad_clip gradient_clipping '
    'clip_norm grad_norm_clipping max_gradient_norm clip_grad_norm grad_norm_clip',
    "QLearningAgent.loss = 'huber'": 'loss_fn loss_function td_errors_loss_fn',
    'Replay.capacity_transitions = 50_000': 'buffer_size replay_size replay_buffer_size capacity '
    'buffer_capacity memory_size memory_limit replay_capacity replay_buffer_capacity memory buffer '
    'max_replay_size replay_buffer_max_length max_size',
    'Prioritisation.alpha = 0.6': 'prioritized_replay_alpha per_alpha',
    'Prioritisation.beta = 0.4': 'prioritized_replay_beta per_beta beta0',
    'C51Network.v_min = 0.0': 'vmin',
    'C51Network.v_max = 50.0': 'vmax',
    'C51Network.num_atoms = 51': 'atoms n_atoms',
    "task.env_kwargs = {{'length': 12}}": 'env_args env_config make_kwargs env_params kwargs',
    "task.wrappers = ['FlattenObservation']": 'wrapper env_wrapper env_wrappers wrapper_class',
    'task.max_episode_steps = 500': 'time_limit max_episode_length max_ep_len episode_length '
    'max_steps_per_episode',
    "task.vectorization = 'async'": 'vec_env vec_env_class vectorization_mode vectorize',
    'atari.frame_skip = 4': 'frameskip action_repeat skip',
    'atari.clip_reward = True': 'clip_rewards reward_clipping reward_clip',
    'PolicyGradientAgent.entropy_coefficient = 0.01': 'ent_coef entropy_coef entropy '
    'entropy_coeff entropy_bonus entropy_regularization',
    'PolicyGradientAgent.value_coefficient = 0.5': 'vf_coef value_coef critic_coef',
}

# What train_reinforce has instead of Q-learning's; it has nothing instead of the rest.
_OF_REINFORCE = {
    '{program}.num_env_steps': '{program}.num_episodes = 4_000',
    'train_ddqn.eval_interval_env_steps': '{program}.eval_interval_episodes = 200',
    'train_ddqn.checkpoint_interval_env_steps': '{program}.checkpoint_interval_episodes = 400',
    'train_ddqn.log_interval_env_steps': '{program}.log_interval_episodes = 100',
    'train_ddqn.batch_size': '{program}.num_envs = 16',
    'make_q_network.torso': 'make_actor_critic_network.torso = @mlp_torso',
    'QLearningAgent.gradient_clip_norm': 'PolicyGradientAgent.gradient_clip_norm = 10.0',
}
_OF_Q_LEARNING = {
    'train_ddqn', 'QLearningAgent', 'Replay', 'Prioritisation', 'C51Network', 'make_q_network',
    'epsilon/LinearSchedule',
}  # fmt: skip
_OF_POLICY_GRADIENTS = {'train_reinforce', 'PolicyGradientAgent'}

# A number given for one of others' words means something else here: the example is shown.
_OTHER_UNIT = (
    'video_interval_episodes', 'eval_interval_env_steps', 'checkpoint_interval_env_steps',
    'log_interval_env_steps', 'train_steps_per_env_step', 'distribution', 'target',
    'compute_dtype', 'decay_steps', 'target_update_period_train_steps',
    'env_kwargs', 'wrappers', 'vectorization',
)  # fmt: skip

_RUN_FLAGS = {
    'root_dir': 'output_dir out_dir outdir output logdir log_dir log_path save_dir save_path '
    'model_dir base_dir results_dir run_dir workdir train_dir exp_name run_name run dir name '
    'experiment_name tensorboard_log tensorboard directory',
    'seed': 'random_seed manual_seed torch_seed rng_seed',
    'gin_file': 'config config_file gin_files gin_config gin_configs gin conf cfg',
    'gin_bindings': 'gin_binding gin_param gin_params binding bindings override overrides params '
    'hyperparams set',
    'check_only': 'check dry_run dryrun',
}
_FLAGS = {
    'train_ddqn': _RUN_FLAGS,
    'train_reinforce': _RUN_FLAGS,
    'evaluate': {
        'policy_dir': 'policy policy_path model model_path model_dir run run_dir root_dir logdir '
        'checkpoint load load_path saved_model dir',
        'episodes': 'num_episodes n_episodes n_eval_episodes num_eval_episodes eval_episodes n',
        'env_name': 'env env_id gym_id environment game task',
        'video': 'gif film record render capture_video record_video save_video',
        'json': 'output out output_file results report save',
        'epsilon': 'eps eval_epsilon exploration',
        'seed': 'random_seed',
    },
    'compare': {
        'experiment': 'config config_file file toml spec conf cfg experiment_file',
        'root_dir': 'output_dir out_dir output out logdir',
        'processes': 'jobs num_processes n_jobs workers num_workers parallel',
        'run_dirs': 'runs run_dir dirs',
    },
    'tutorials': {'processes': 'jobs num_processes n_jobs workers num_workers parallel'},
}

# What uses the bindings of a configurable, for one that is used by nothing.
SWITCHED_ON_BY = {
    'Prioritisation': 'train_ddqn.prioritised = True',
    'C51Network': "train_ddqn.distribution = 'categorical'",
    'NoisyDense': 'train_ddqn.noisy = True',
    'MunchausenQLearningAgent': 'train_ddqn.munchausen = True',
    'conv_torso': 'make_q_network.torso = @conv_torso',
    'mlp_torso': 'make_q_network.torso = @mlp_torso',
    'atari': "an Atari game, such as train_ddqn.env_name = 'ALE/Breakout-v5'",
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
    if (bound := what_to_bind(program, word, value)) is not None:
        return as_argument(bound)
    flag = flag_for(program, word)
    if flag == '--gin_bindings':
        return as_argument('NAME = VALUE')
    return flag if flag is None or value is None or flag == '--check_only' else f'{flag}={value}'


def what_to_bind(program: str, word: str, value: str | None = None) -> str | None:
    """The binding alone, such as 'adam.learning_rate = 0.01', for a word that is no flag's.

    What was given for the word is taken over if it means the same here; else an example is shown.
    """
    word = _plain(word)
    if program not in PROGRAMS or flag_for(program, word):
        return None
    for ours, words in _SETTINGS.items():
        instead = _of_program(ours, program)
        name, _, example = instead.partition(' = ')
        parameter = name.rpartition('.')[2]
        if word == parameter:
            return f'{name} = {_in_the_form_of(example, value)}'
        if name and word in words.split():
            same = instead == ours.format(program=program) and parameter not in _OTHER_UNIT
            return f'{name} = {_in_the_form_of(example, value) if same else example}'
    return None


def flag_for(program: str, word: str) -> str | None:
    """The flag that a word stands for, such as '--seed', or None."""
    for name, words in _FLAGS.get(program, {}).items():
        if _plain(word) in (name, *words.split()):
            return f'--{name}'
    return None


def binding(name: str, value: str | None) -> str:
    """The flag that binds `name`, for a shell."""
    return as_argument(f'{name} = {"VALUE" if value is None else as_python(value)}')


def as_argument(bound: str) -> str:
    """A binding as bash takes it: `--gin_bindings="train_ddqn.env_name = 'CartPole-v1'"`."""
    return f'--gin_bindings="{bound}"'


def as_python(typed: str) -> str:
    """What was typed as gin takes it: a whole number for 1e6, quotes around text.

    A shell takes the quotes of env_name='CartPole-v1' away, so CartPole-v1 arrives.
    """
    text = typed.strip()
    words = {'true': 'True', 'yes': 'True', 'on': 'True', 'false': 'False', 'no': 'False',
             'off': 'False', 'none': 'None', 'null': 'None'}  # fmt: skip
    if text.lower() in words:
        return words[text.lower()]
    if re.fullmatch(r'\d{1,3}(,\d{3})+', text):
        return text.replace(',', '_')
    if amount := re.fullmatch(r'(\d+)([kKmM])', text):
        return amount[1] + ('_000' if amount[2] in 'kK' else '_000_000')
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        word = text.strip('\'"“”‘’`')
        return repr(word) if re.fullmatch(r'[\w./:+-]+', word) else text
    if isinstance(value, float) and value.is_integer() and 'e' in text.lower() and value >= 1.0:
        return f'{int(value):_}'
    return text


def _plain(word: str) -> str:
    return word.lower().replace('-', '_').strip('_')


def _of_program(ours: str, program: str) -> str:
    """The program's own form of a row of `_SETTINGS`; '' if it has no such setting."""
    name = ours.partition(' = ')[0]
    owner = name.rpartition('.')[0]
    if program == 'train_reinforce':
        if name not in _OF_REINFORCE and owner in _OF_Q_LEARNING:
            return ''
        ours = _OF_REINFORCE.get(name, ours)
    elif owner in _OF_POLICY_GRADIENTS:
        return ''
    return ours.format(program=program)


def _in_the_form_of(example: str, typed: str | None) -> str:
    """`typed` as a value of the same type as `example`; `example` if it cannot be one."""
    try:
        kind = type(ast.literal_eval(example))
    except (ValueError, SyntaxError):
        return example  # a reference
    value = as_python(typed) if typed and typed.strip() else ''
    if kind is tuple:
        numbers = re.findall(r'\d+', value)
        return f'({", ".join(numbers)}{"," * (len(numbers) == 1)})' if numbers else example
    try:
        given = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return example
    if kind is int and isinstance(given, float) and given.is_integer():
        return f'{int(given):_}'
    fits = isinstance(given, (int, float) if kind is float else kind) or given is None
    return value if fits and (kind is bool or not isinstance(given, bool)) else example
