"""One run is one frozen object; YAML, command line and documentation are made from it.

Every field has its reason below it. Unknown keys are refused, relations between fields are
checked when the object is made, and a preset is a YAML file of differences from the defaults.
"""

from survfuse.config.fit_config import (
    PRESETS,
    FitConfig,
    in_sections,
    parameters_of,
    preset_values,
)
from survfuse.config.frozen import Frozen, build
from survfuse.config.reference import (
    parameters_numpydoc,
    renamed_markdown,
    to_markdown,
)
from survfuse.config.run_config import (
    CrossvalConfig,
    RunConfig,
    apply_overrides,
    load_config,
    to_yaml,
)
from survfuse.config.sections import (
    NOT_SEARCHED,
    PARAMETER_NAMES,
    PARAMETERS,
    SearchRange,
    SearchSettings,
)

__all__ = [
    "NOT_SEARCHED",
    "PARAMETERS",
    "PARAMETER_NAMES",
    "PRESETS",
    "CrossvalConfig",
    "FitConfig",
    "Frozen",
    "RunConfig",
    "SearchRange",
    "SearchSettings",
    "apply_overrides",
    "build",
    "in_sections",
    "load_config",
    "parameters_numpydoc",
    "parameters_of",
    "preset_values",
    "renamed_markdown",
    "to_markdown",
    "to_yaml",
]
