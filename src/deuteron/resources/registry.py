"""All that the modules of this package declare. A new extension is a new module, found here."""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import deuteron.resources
from deuteron.policy.defaults import RULES
from deuteron.resources.resource import Alias, Extension, Resource, Rules


@dataclass(frozen=True)
class Registry:
    """Resources by collection, aliases by alias, rules of policy by name."""

    resources: Mapping[str, Resource]
    aliases: Mapping[str, Alias]
    rules: Mapping[str, str]

    def path(self, resource: Resource) -> str:
        """Return the path of a resource's collection below /v2.0, with `{parent}` where one is needed."""
        if not resource.parent:
            return resource.path
        above = next(one for one in self.resources.values() if one.name == resource.parent)
        return f"{above.path}/{{parent}}/{resource.path}"


@cache
def load() -> Registry:
    """Import every module of the package and put together what they declare. Raises ValueError."""
    declared = []
    for module in pkgutil.iter_modules(deuteron.resources.__path__):
        loaded = importlib.import_module(f"deuteron.resources.{module.name}")
        declared += [*getattr(loaded, "DECLARES", ())]
    resources = {part.name: part for part in declared if isinstance(part, Resource)}
    for extension in (part for part in declared if isinstance(part, Extension)):
        if extension.resource not in resources:
            raise ValueError(f"{extension.name}: there is no resource {extension.resource} to extend")
        resources[extension.resource].extend(extension)
    aliases = {part.alias: part for part in declared if isinstance(part, Alias)}
    by_collection = {resource.collection: resource for resource in resources.values()}
    added = {
        name: check for part in declared if isinstance(part, Rules) for name, check in part.rules.items()
    }
    return Registry(by_collection, dict(sorted(aliases.items())), {**RULES, **added})
