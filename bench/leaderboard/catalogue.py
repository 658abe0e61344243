"""Where methods and tasks stand on a board: the group of a row, the family of a column, and what may have been seen.

All of it is read from what plug-ins say of themselves, without importing one.
"""

from functools import cache

from bench.registry import Plugin, Registry, discover

GROUPS = ("supervised", "SSL on medical images", "foundation models", "prompt-based")
FAMILIES = ("classification", "2D segmentation", "3D segmentation", "out of distribution", "detection", "prompt-based")
TARGETS = {"class": "classification", "box": "detection"}


@cache
def shipped() -> Registry:
    """The plug-ins that are installed, for records of a store without its grid."""
    return discover()


@cache
def find(kind: str, name: str, target: str = "") -> Plugin | None:
    """The installed plug-in of that name, if there is one."""
    found = [plugin for plugin in shipped().all(kind) if plugin.name == name]
    return next((plugin for plugin in found if target in ("", plugin.target)), None)


def group_of(method: Plugin | None, *, pretrained: bool) -> str:
    """The group of a row; `pretrained`: in this benchmark, which makes it one of SSL whatever is known of the rest."""
    if pretrained:
        return GROUPS[1]
    return str(method.info.get("group") or GROUPS[2]) if method else GROUPS[2]


def family_of(task: Plugin | None, protocol: Plugin | None, metric: str) -> str:
    """The family of a column; by its metric, where its task is not installed."""
    if protocol and protocol.info.get("family"):
        return str(protocol.info["family"])
    if task is None:
        return metric
    return TARGETS.get(task.target) or FAMILIES[2 if task.info.get("case") == "volume" else 1]


def at_sites(family: str) -> str:
    """The family of a column that is of one of several sites of a task, or of their mean."""
    return family if family == FAMILIES[-1] else FAMILIES[3]


def may_have_seen(method: Plugin | None, task: str) -> bool:
    """Whether the training data of a foundation model, as its plug-in tells them, may have test images of a task."""
    said = (method.info.get("may_have_seen") or ()) if method else ()
    return "*" in said or task in said
