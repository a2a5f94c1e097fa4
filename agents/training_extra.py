"""The message for those who have the package without what training needs."""

from __future__ import annotations


def missing(error: ModuleNotFoundError) -> ModuleNotFoundError:
    """Return an import's error, with the command that mends it.

    Args:
        error: of an import of gymnasium, torch, stable_baselines3 or sb3_contrib.
    """
    library = (error.name or str(error)).partition(".")[0]
    message = f'Training needs {library}, which is not installed: pip install "kairos-notify[train]"'
    return ModuleNotFoundError(message, name=error.name)
