"""The peer: mergekit's own code, run in this process."""

import yaml


def mergekit(text, folder, **options):
    """Merge the recipe `text` into a folder, as mergekit-yaml does with these
    options."""
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    config = MergeConfiguration.model_validate(yaml.safe_load(text))
    run_merge(config, str(folder), config_source=text,
              options=MergeOptions(quiet=True, write_model_card=False,
                                   **options))
    return folder
