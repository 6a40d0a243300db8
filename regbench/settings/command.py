"""A command that runs something, by the settings that it takes; and what a user asked of it.

Knows nothing about texts or files, and nothing about what is run.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from pydantic import Field, InstanceOf, create_model

from regbench.errors import option_of, quoted
from regbench.regularizers import REGULARIZERS, Arm
from regbench.settings.base import ARMS, Settings, is_hidden, keys_of
from regbench.settings.groups import Machine, Output, Question
from regbench.settings.table import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo

    from regbench.regularizers import Regularizer

PANELS = ("Experiment", "Statistics", "Task", "Table", "Network", "Training", "Machine", "Output")
"""The headings of the help, in order."""
PARTS: dict[str, type[Settings]] = {
    "source": Source,
    "question": Question,
    "machine": Machine,
    "output": Output,
}
"""The values of a request besides its study, by name."""


def strengths_of(kind: type[Regularizer]) -> type[Settings]:
    """Return the group of the one setting that makes the arms of a regularizer."""
    meaning = f"{kind.meaning}. Several, or logspace:FIRST:LAST:N, make an arm each."
    field = Field((kind.default,), min_length=1, max_length=1000, description=meaning)
    fields: dict[str, Any] = {kind.option: (tuple[float, ...], field)}
    return create_model("Strengths", __base__=Settings, **fields)


class Arms(Settings):
    """The arms of a comparison, as texts."""

    arms: tuple[str, ...] = Field(
        (),
        min_length=1,
        max_length=1000,
        validate_default=True,
        description="What to compare with the baseline, such as wdecay=0.01+dropout=0.5.",
        json_schema_extra={
            "allowed": ARMS,
            "choices": [kind().name for kind in REGULARIZERS.values()],
            "metavar": "ARM",
        },
    )


class Setting(NamedTuple):
    """The field that describes a setting, and the heading in the help that it stands under."""

    field: FieldInfo
    panel: str


@dataclass(frozen=True)
class Command:
    """What a command takes; a `regularizer` where the first group has its strengths."""

    name: str
    summary: str
    groups: tuple[type[Settings], ...]
    regularizer: type[Regularizer] | None = None
    examples: tuple[str, ...] = ()  # what may follow the command's name

    @property
    def parts(self) -> dict[str, Any]:
        """The groups that it takes besides the study, by their names in a request."""
        own = ((name, kind, group) for name, kind in PARTS.items() for group in self.groups)
        return {name: group for name, kind, group in own if issubclass(group, kind)}

    @property
    def settings(self) -> dict[str, Setting]:
        """Every setting by its key, in the order of the help."""
        found = dict[str, Setting]()
        for key, setting in settings_of(self.groups):
            found.setdefault(key, setting)
        return dict(sorted(found.items(), key=lambda item: PANELS.index(item[1].panel)))


def settings_of(groups: tuple[type[Settings], ...]) -> Iterator[tuple[str, Setting]]:
    """Yield key and setting of every field of some groups, those of the groups in them last."""
    for group in groups:
        nested = {name: kinds_of(info) for name, info in group.model_fields.items()}
        for name, info in group.model_fields.items():
            is_setting = not nested[name] and not info.exclude
            if is_setting and info.annotation != tuple[InstanceOf[Arm], ...]:
                panel = group.model_config.get("title") or "Experiment"
                yield info.alias or name, Setting(info, panel)
        yield from settings_of(tuple(itertools.chain(*nested.values())))


def default_of(field: FieldInfo, values: Mapping[str, Any]) -> Any:
    """Return a setting's default, which may follow from other values; a list of several."""
    try:
        default: Any = field.get_default(call_default_factory=True, validated_data=dict(values))
    except KeyError:  # it follows from what has several values
        return None
    return list(default) if isinstance(default, tuple) else default


def nested_groups(group: type[Settings]) -> dict[str, type[Settings]]:
    """Return the fields of a group that are groups themselves, each with its usual kind."""
    kinds = {name: kinds_of(info) for name, info in group.model_fields.items()}
    return {name: own[0] for name, own in kinds.items() if own}


def kinds_of(field: FieldInfo) -> list[type[Settings]]:
    """Return the groups of settings that a field may be, or none where it is another value."""
    kinds = get_args(field.annotation) or (field.annotation,)
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Settings)]


@dataclass(frozen=True)
class Request:
    """What was asked: frozen values, and by key where each setting came from, if given."""

    command: Command
    study: Any
    source: Source = field(default_factory=Source)
    question: Question = field(default_factory=Question)
    machine: Machine = field(default_factory=Machine)
    output: Output = field(default_factory=Output)
    origins: Mapping[str, str] = field(default_factory=dict)

    def parts(self) -> dict[str, dict[str, Any]]:
        """Return what the command takes besides the study, by name and key."""
        taken = {name: getattr(self, name) for name in self.command.parts}
        return {name: part.model_dump(mode="json", by_alias=True) for name, part in taken.items()}

    def values(self) -> dict[str, Any]:
        """Return every setting by its key."""
        values: dict[str, Any] = self.study.by_key()
        if regularizer := self.command.regularizer:
            del values["arms"]
            values[regularizer.option] = [arm.parts[0].strength for arm in self.study.arms[1:]]
        for part in self.parts().values():
            values |= part
        return values

    def default(self, key: str, values: Mapping[str, Any]) -> Any:
        """Return what a setting would be where it is not given; a task may have its own default."""
        task = getattr(getattr(self.study, "study", self.study), "task", None)
        own = keys_of(type(task)) if isinstance(task, Settings) else {}
        if key == "epochs" and getattr(task, "epochs", None) is not None:
            return task.epochs  # type: ignore[union-attr]
        return default_of(own.get(key, self.command.settings[key].field), values)

    def to_file(self) -> dict[str, Any]:
        """Return by key what repeats the run from a file; no replicates where a width was asked."""
        left_out = {"out", "export", "format", "json", "details", "quiet"}
        left_out |= {"threads", "shard", "scheduler", "allow_mixed"}
        if self.question.target_width:
            left_out.add("replicates")
        kept = {k: v for k, v in self.values().items() if k not in left_out and v is not None}
        return {"experiment": self.command.name, **kept}

    @property
    def command_line(self) -> str:
        """What repeats the run, with the settings that are not the defaults."""
        values, words = self.to_file(), ["regbench", self.command.name]
        if "digest" in values and "data" not in values:  # a table from memory
            words += ["--data", "FILE", "--target", "COLUMN"]
        files = dict.fromkeys(filter(None, (known.get("file") for known in self.study.plugins)))
        words += [word for file in files for word in ("--plugin", file)]
        for key, setting in self.command.settings.items():
            is_usual = key not in values or values[key] == self.default(key, values)
            if is_usual or is_hidden(setting.field):
                continue
            value, option = values[key], option_of(key)
            if isinstance(value, bool):
                words.append(option if value else f"--no-{key}")
            elif key in ("arms", "scores"):
                words += value
            else:
                several = value if isinstance(value, list) else [value]
                words += [option, ",".join(map(str, several))]
        return " ".join(map(quoted, words))

    def to_record(self) -> dict[str, Any]:
        """Return the values and where each setting came from, ready for JSON."""
        origins = {key: self.origins.get(key, "default") for key in self.command.settings}
        made = {"study": self.study.by_key(), "plugins": self.study.plugins}
        return {**made, **self.parts(), "origins": origins}

    @property
    def digest(self) -> str:
        """64 hexadecimal digits that differ where study or question differ; names have eight."""
        asked = [self.command.name, self.study.by_key(), self.question.model_dump()]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
