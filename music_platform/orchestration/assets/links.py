"""Links from an asset in the UI to its code or SQL, to what defines its columns, and from a mart to its formulas."""

import warnings
from collections.abc import Iterable

import dagster as dg

from music_platform.environment import project_root
from music_platform.orchestration.keys import BUILDS_LEDGER, GOLD, KAFKA, LAKE, LOADS_LEDGER

REFERENCES = "dagster/code_references"
#: Files that define the content of assets.
_CONTRACT, _LEDGERS = "music_platform/contracts/events.py", "music_platform/warehouse/schema.py"
_FORMULAS = "docs/reference/marts.md"


def with_links(assets: Iterable[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """The assets, each with its links."""
    with warnings.catch_warnings():
        # Otherwise Dagster warns at each import that code references are in beta.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return [
            found.map_asset_specs(_linked)
            for found in dg.with_source_code_references(list(assets))
            if isinstance(found, dg.AssetsDefinition)
        ]


def _linked(spec: dg.AssetSpec) -> dg.AssetSpec:
    known = spec.metadata.get(REFERENCES)
    references = list(known.code_references) if isinstance(known, dg.CodeReferencesMetadataValue) else []
    if spec.group_name in (KAFKA, LAKE):
        references.append(_file(_CONTRACT, "what its records contain"))
    if spec.key in (LOADS_LEDGER, BUILDS_LEDGER):
        references.append(_file(_LEDGERS, "what its rows contain"))
    if spec.group_name == GOLD:
        references.append(_file(_FORMULAS, "what the mart contains"))
    return spec.merge_attributes(metadata={REFERENCES: dg.CodeReferencesMetadataValue(code_references=references)})


def _file(path: str, label: str | None = None) -> dg.LocalFileCodeReference:
    return dg.LocalFileCodeReference(file_path=str(project_root() / path), line_number=1, label=label)
