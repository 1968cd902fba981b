"""The one error of this package that is the user's to mend."""


class ConfigError(ValueError):
    """A value no agent can be built from; names the parameter, the value and the cure."""
