"""Why a model says what it says: terms of every prediction, down to columns, genes and tiles."""

import sys
from types import ModuleType
from typing import Any

from survfuse.explain.agreement import measure_agreement, with_agreement
from survfuse.explain.explanation import Explanation, explain

__all__ = ["Explanation", "explain", "measure_agreement", "with_agreement"]


class _CallablePackage(ModuleType):
    """The package, which can be called: once imported, it takes the place of the function.

    Importing a package sets it as an attribute of its parent, here `survfuse.explain`.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Explanation:
        return explain(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
