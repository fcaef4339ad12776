"""Everything daskglass refuses, by name; each error says what was wrong, where, and what would be right."""


class DaskglassError(Exception):
    """Base of all errors raised by daskglass on purpose."""


class StudyError(DaskglassError, ValueError):
    """A study file, or a value in it, cannot be used."""


class TrajectoryError(DaskglassError, ValueError):
    """A trajectory file is missing, damaged, or holds what the study does not describe."""


class StoreError(DaskglassError, ValueError):
    """A store is missing, held by another process, or laid out for another study."""


class DataError(DaskglassError, ValueError):
    """An array handed to a function of the science API breaks that function's contract."""


class EngineError(DaskglassError, RuntimeError):
    """A simulation engine is missing or failed."""


class ClusterError(DaskglassError, RuntimeError):
    """Workers cannot be had, or are lost."""
