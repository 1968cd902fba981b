"""The one error of this package that is the user's to mend."""


class EnvError(ValueError):
    """An environment that does not exist, cannot be made, or does not fit; says what would."""
