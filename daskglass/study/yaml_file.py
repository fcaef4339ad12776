"""YAML files: numbers and booleans of YAML 1.2, unique keys, and the line of every key."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from daskglass.errors import StudyError
from daskglass.study.paths import read_text

# far above anything written by hand; hostile files exceed them
MOST_CHARACTERS = 1_000_000
MOST_VALUES = 20_000
DEEPEST = 20
LONGEST_NUMBER = 40
LONGEST_TEXT = 10_000
MOST_PROBLEMS = 20  # of one file, reported at once
# A number with a leading zero stays text: to some it is octal, and to a batch system the name of an account.
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_REAL = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = (
    dict.fromkeys(("", "~", "null", "Null", "NULL"))
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
    | {f"{sign}{word}": float(f"{sign}inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")}
    | dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan)
)  # the words of the core schema of YAML 1.2: `yes`, `off`, `1:30` and `2024-05-01` are text

Keys = tuple[int | str, ...]


class _RefusedError(Exception):
    """YAML that is refused, with its keys and line."""

    def __init__(self, keys: Sequence[int | str], mark: yaml.Mark, message: str) -> None:
        self.keys, self.line, self.message = keys, mark.line + 1, message


class _Composer(yaml.SafeLoader):
    """Nodes of a text; refuses aliases, tags, and too many or too deep values."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.keys: list[int | str] = []
        self.values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose one node, or refuse it."""
        event = self.peek_event()
        self.keys.append(index.value if isinstance(index, yaml.ScalarNode) else index if isinstance(index, int) else "")
        self.values += 1
        problem = ""
        if isinstance(event, yaml.AliasEvent):
            problem = f"aliases such as *{event.anchor} are not supported; repeat the value"
        elif event.tag is not None:
            problem = f"tags such as {event.tag} are not supported; remove the tag"
        elif len(self.keys) > DEEPEST:
            problem = f"nested more than {DEEPEST} levels deep"
        elif self.values > MOST_VALUES:
            problem = f"more than {MOST_VALUES:,} values in one file"
        elif isinstance(event, yaml.ScalarEvent) and len(event.value) > LONGEST_TEXT:
            # errors show keys and values
            self.keys[-1] = str(self.keys[-1])[:LONGEST_NUMBER]
            problem = f"text of {len(event.value):,} characters; the limit is {LONGEST_TEXT:,}"
        if problem:
            raise _RefusedError(self.keys, event.start_mark, problem)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.keys.pop()
        return node


def read_yaml(path: Path) -> tuple[str, yaml.Node | None, Any]:
    """Return a file's text, its nodes (which know their lines) and its content.

    Numbers and booleans are those of YAML 1.2: `1e-3` is a number; `yes`, `1:30`, `0432` and `1_000` are text.

    Raises
    ------
    StudyError
        If it cannot be read, is not YAML, repeats a key, contains aliases or tags, or exceeds the limits.
    """
    text = read_text(path, MOST_CHARACTERS)
    try:
        root = _Composer(text).get_single_node()
        return text, root, None if root is None else _content(root, ())
    except _RefusedError as error:
        keys = ".".join(str(key) for key in error.keys if key != "")
        raise StudyError(f"{path}:{error.line}: {f'{keys}: ' if keys else ''}{error.message}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise StudyError(
            f"{path}:{line}: not valid YAML: {error.reason}: character {error.character!r}",
            remedy="remove it, or save the file as UTF-8 text",
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        tab = "replace tabs by spaces" if "'\\t'" in str(error.problem) else None
        what = "; ".join(filter(None, (" ".join(filter(None, (error.context, error.problem))), tab)))
        raise StudyError(f"{path}:{1 if mark is None else mark.line + 1}: not valid YAML: {what}") from None


def line_of(node: yaml.Node | None, keys: Keys) -> int:
    """Line of the deepest node that a validation error's location reaches."""
    line = 1 if node is None else node.start_mark.line + 1
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = [(k, v) for k, v in node.value if str(key) in (k.value, str(_scalar(k, ())))]
            if found:
                line, node = found[0][0].start_mark.line + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
    return line


def _content(node: yaml.Node, keys: Keys) -> Any:
    """Value of a node: a mapping, a list, or a scalar."""
    if isinstance(node, yaml.SequenceNode):
        return [_content(child, (*keys, k)) for k, child in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, keys)
    content: dict[Any, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _RefusedError(keys, key.start_mark, "a key must be a word or a number, not a list or mapping")
        name = _scalar(key, keys)
        if name in content:
            raise _RefusedError((*keys, key.value), key.start_mark, "given twice")
        content[name] = _content(value, (*keys, key.value))
    return content


def _scalar(node: yaml.ScalarNode, keys: Keys) -> Any:
    """Value of a scalar by the core schema of YAML 1.2."""
    text = node.value
    if node.style is not None:
        # JSON writes characters such as emoji as two escapes
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    if text in _WORDS:
        return _WORDS[text]
    if not _REAL.fullmatch(text):
        return text
    if len(text) > LONGEST_NUMBER:
        raise _RefusedError(keys, node.start_mark, f"number of {len(text):,} characters; the limit is {LONGEST_NUMBER}")
    number = int(text) if _WHOLE.fullmatch(text) else float(text)
    if math.isinf(number):
        raise _RefusedError(keys, node.start_mark, f"{text} is too large for a floating-point number")
    return number
