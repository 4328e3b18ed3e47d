"""What every role promises: its names, and defaults that say the same as its argument specification."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted((Path(__file__).parents[3] / "roles").glob("*/"))

each_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def load(path: Path) -> Any:
    """A YAML file's content, an empty dict for one that does not exist or holds nothing."""
    return (yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None) or {}


def options(role: Path) -> dict[str, dict[str, Any]]:
    """The options of all of a role's entry points, by name."""
    specs = load(role / "meta" / "argument_specs.yml").get("argument_specs", {})
    return {name: option for spec in specs.values() for name, option in spec.get("options", {}).items()}


def is_computed(value: Any) -> bool:
    """Whether a default is an expression, which a specification cannot hold."""
    return isinstance(value, str) and "{{" in value


def names_set_by(tasks: Any) -> Iterator[str]:
    """Every variable that tasks register or set as a fact, at any depth of their blocks."""
    for task in tasks or []:
        if "register" in task:
            yield task["register"]
        facts = task.get("ansible.builtin.set_fact", {})
        yield from (name for name in facts if name != "cacheable")
        for part in ("block", "rescue", "always"):
            yield from names_set_by(task.get(part))


def names_of(role: Path) -> set[str]:
    """Every variable name that a role brings into play."""
    names = {*load(role / "defaults" / "main.yml"), *load(role / "vars" / "main.yml"), *options(role)}
    for directory in ("tasks", "handlers"):
        for path in (role / directory).rglob("*.yml"):
            names.update(names_set_by(load(path)))
    return names


@each_role
def test_is_described(role: Path) -> None:
    assert load(role / "meta" / "argument_specs.yml").get("argument_specs", {}).get("main")
    assert (role / "README.md").exists()


@each_role
def test_names_belong_to_the_role_or_the_collection(role: Path) -> None:
    prefixes = tuple(f"{private}{owner}_" for private in ("", "__") for owner in (role.name, "backup_ha"))
    assert [name for name in sorted(names_of(role)) if not name.startswith(prefixes)] == []


@each_role
def test_every_default_is_specified(role: Path) -> None:
    assert set(load(role / "defaults" / "main.yml")) <= set(options(role))


@each_role
def test_defaults_and_specification_hold_the_same_values(role: Path) -> None:
    literal = {name: value for name, value in load(role / "defaults" / "main.yml").items() if not is_computed(value)}
    specified = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert literal == specified
