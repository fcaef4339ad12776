"""What names of files say: the pattern that finds them again, and the labels in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from daskglass.errors import TrajectoryError
from daskglass.trajectories.patterns import COUNTED, RUNS, Field
from daskglass.trajectories.wildcards import name_one

# what a label is called in names of files, in columns of tables and in state points; t is a time
ALIASES: Mapping[str, tuple[str, ...]] = {
    "temperature": ("temperature", "temp", "kt", "T"),
    "replica": ("replica", "replicate", "rep", "run", "seed", "sample", "r"),
    "configuration": ("configuration", "config", "conf", "cfg"),
    "lag": ("lag",),
    "system": ("system", "model", "mixture"),
}
NUMBERED = ("temperature", "replica", "configuration", "lag")
WORDS = "|".join(name if name == "T" else f"(?i:{name})" for label in NUMBERED for name in ALIASES[label])
LABEL = re.compile(
    r"(?<![A-Za-z])(?:(?P<system>ka_0\.[0-5])(?![0-9])"
    rf"|(?:{WORDS})[_=-]?(?P<value>[0-9]+p[0-9]+|(?:[0-9]*\.)?[0-9]+(?:[eE][+-]?[0-9]+)?)(?![0-9]))"
)
UNSURE = {"temperature": re.compile("[0-9]+p[0-9]+|0[0-9]*|[1-9][0-9]+"), "lag": re.compile("[0-9]+p[0-9]+|0[0-9]*")}
ENDING = re.compile(r"(?:\.(?:[A-Za-z]{2,}|bz2))+$")
NUMBER, WHOLE = re.compile(r"[0-9]+(?:\.[0-9]+)?"), re.compile("[0-9]+")
PART = re.compile(rf"{NUMBER.pattern}|[A-Za-z]+")
TOKEN = re.compile(rf"{PART.pattern}|.")
COMMA = re.compile(rf"(?<![A-Za-z])(?:{WORDS})[_=-]?[0-9]+,[0-9]")
STAGES = re.compile(
    r"(?i:anneal|cool|equil|final|heat|init|melt|minim|prod|quench|relax|restart|start|therm|warm)[A-Za-z]*|eq|nve|nvt|npt"
)
PIECES = re.compile("(?i:block|chunk|cont|part|piece|section|seg)")
PATTERN = "\0"  # in a question, the pattern of the files
MOST_SHOWN = 3


@dataclass(frozen=True)
class Piece:
    """A part of a name: its text, and the field that it is the value of; empty where it is of none."""

    text: str
    field: str = ""


@dataclass(frozen=True)
class Guess:
    """A pattern, and what names do not say.

    Attributes
    ----------
    pattern : of the files, for `find_sources`
    fields : names of its fields
    unknown : what is not known, and what to do about it, a sentence each
    systems : the first file of each system that names tell apart
    """

    pattern: str
    fields: frozenset[str]
    unknown: tuple[str, ...] = ()
    systems: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Columns:
    """Names split into equally many pieces, of which those at one place all agree or differ."""

    rows: list[list[Piece]]
    unknown: list[str] = field(default_factory=list)

    def texts(self, place: int) -> list[str]:
        return [row[place].text for row in self.rows]

    def varies(self, place: int) -> bool:
        return len(set(self.texts(place))) > 1

    def fields(self) -> list[str]:
        return [piece.field for piece in self.rows[0]]

    def loose(self, kind: re.Pattern[str]) -> list[int]:
        """Places of what differs, has no name, and is a number of a kind in all rows."""
        places = [k for k, name in enumerate(self.fields()) if not name and self.varies(k)]
        return [k for k in places if all(map(kind.fullmatch, self.texts(k)))]

    def is_part(self, place: int) -> bool:
        """Whether a piece can be a part of a word: letters or digits, of no field, and not the ending of the name."""
        inside = 0 <= place < len(self.rows[0]) - 1
        return inside and not self.rows[0][place].field and all(map(PART.fullmatch, self.texts(place)))

    def join(self, first: int, last: int) -> None:
        """Make one piece of several."""
        for row in self.rows:
            row[first : last + 1] = [Piece("".join(piece.text for piece in row[first : last + 1]))]

    def name(self, place: int, label: str) -> None:
        for row in self.rows:
            row[place] = Piece(row[place].text, label)


def guess_pattern(
    paths: Sequence[str], counted: str = "replica", at_step: Callable[[str, int], bool] = lambda path, step: False
) -> Guess:
    """Guess which parts of file names are labels.

    Words before numbers tell (`T0.45`, `temp_0.45`, `replica3`, `run_01`); a number without a word is a temperature if
    it has a point, otherwise a time step if the file begins at it, or else `counted`. Other words that differ are systems,
    and so are numbers with a word of no known meaning (`rho1.2`, `N400`), with a question. Numbers of replicas are seeds
    where every temperature of a system has only one.

    Parameters
    ----------
    paths : of the files
    counted : label of a whole number without a word
    at_step : whether a file begins at a time step

    Raises
    ------
    TrajectoryError
        If names are of several kinds, follow no common pattern, or hold a decimal comma.
    """
    _check_points(paths)
    columns = _in_columns(paths)
    if counted == "replica":
        for k in [k for k, name in enumerate(columns.fields()) if name == "configuration"]:
            columns.name(k, counted)
    _check_one_kind(paths, columns)
    _keep_once(columns)
    _name_steps(columns, paths, at_step)
    coined = _join_coined(columns)
    _name_numbers(columns, counted)
    _name_words(columns)
    _ask_of_coined(columns, coined, counted)
    _free_replicas(columns)
    _check_parted(paths, columns)
    _question(columns)
    pattern = _written(columns.rows[0])
    systems = {
        piece.text: path
        for path, row in reversed(list(zip(paths, columns.rows, strict=True)))
        for piece in row
        if piece.field == "system"
    }
    questions = tuple(text.replace(PATTERN, pattern) for text in columns.unknown)
    return Guess(pattern, frozenset(columns.fields()) - {""}, questions, systems)


def _written(pieces: Sequence[Piece]) -> str:
    """Pattern of a name in pieces."""
    return "".join(
        str(Field(piece.field, "")) if piece.field else piece.text.replace("{", "{{").replace("}", "}}")
        for piece in pieces
    )


def _check_points(paths: Sequence[str]) -> None:
    if commas := [path for path in paths if COMMA.search(path)]:
        raise TrajectoryError(
            f"a number with a decimal comma in the name of {commas[0]}", remedy="rename the files with points"
        )


def _in_columns(paths: Sequence[str]) -> _Columns:
    """Split paths into pieces; what differs in the number of its words is one piece."""
    split = [_split(path) for path in paths]
    if len({tuple(_kind(piece) for piece in row) for row in split}) > 1:
        split = _folders_as_words(paths, split)
    return _Columns(split)


def _split(path: str) -> list[Piece]:
    ending = ENDING.search(path.rpartition("/")[2])
    stem = path[: len(path) - len(ending[0])] if ending else path
    pieces, done = [], 0
    for found in LABEL.finditer(stem):
        part = "system" if found["system"] else "value"
        word = stem[found.start() : found.start(part)].rstrip("_=-")
        label = label_of(word) if word else "system"
        if label in COUNTED and not WHOLE.fullmatch(found[part]):
            continue
        pieces += [Piece(token) for token in TOKEN.findall(stem[done : found.start(part)])]
        pieces.append(Piece(found[part], label))
        done = found.end()
    pieces += [Piece(token) for token in TOKEN.findall(stem[done:])]
    return [*pieces, Piece(ending[0] if ending else "")]


def label_of(name: str) -> str:
    """Our name of what is called so in a name, in a table or in a state point (`thermo.kT`); empty if it is none of ours."""
    word = name.rpartition(".")[2]
    return next((label for label, names in ALIASES.items() if word in names or word.lower() in names), "")


def _kind(piece: Piece) -> str:
    """What names that are alike have in common at one place: a label, a number, a word, or the character itself."""
    text = piece.text
    if piece.field:
        return piece.field
    if NUMBER.fullmatch(text):
        return "number"
    return "word" if text.isalpha() else "ending" if ENDING.fullmatch(text) or not text else text


def _folders_as_words(paths: Sequence[str], split: Sequence[list[Piece]]) -> list[list[Piece]]:
    """Pieces of paths of as many folders each, where those that differ in their pieces are one word."""
    rows = [_components(row) for row in split]
    if len({len(row) for row in rows}) > 1:
        _refuse(paths, lambda path: path.count("/"), "folders")
    joined: list[list[Piece]] = [[] for _ in rows]
    for components in zip(*rows, strict=True):
        alike = len({tuple(map(_kind, component)) for component in components}) == 1
        for row, component in zip(joined, components if alike else _middles(components), strict=True):
            row += component
    return joined


def _components(row: Sequence[Piece]) -> list[list[Piece]]:
    components: list[list[Piece]] = [[]]
    for piece in row:
        components[-1].append(piece)
        if piece.text == "/":
            components.append([])
    return components


def _middles(components: Sequence[list[Piece]]) -> list[list[Piece]]:
    """Pieces that all have at the start and at the end, and between them what differs as one word."""
    shortest = min(map(len, components))
    alike = [len({_kind_or_text(component[k]) for component in components}) == 1 for k in range(shortest)]
    first = len(list(takewhile(bool, alike)))
    ends = [
        len({_kind_or_text(component[-k]) for component in components}) == 1 for k in range(1, shortest - first + 1)
    ]
    last = len(list(takewhile(bool, ends)))
    rows = []
    for component in components:
        stop = len(component) - last
        middle = Piece("".join(piece.text for piece in component[first:stop]))
        rows.append([*component[:first], middle, *component[stop:]])
    return rows


def _kind_or_text(piece: Piece) -> str:
    kind = _kind(piece)
    return piece.text if kind == "word" else kind


def _check_one_kind(paths: Sequence[str], columns: _Columns) -> None:
    """Refuse files of several names in one folder that are no systems: an initial configuration beside a run."""
    slashes = [k for k, piece in enumerate(columns.rows[0]) if piece.text == "/"]
    last = range(slashes[-1] + 1 if slashes else 0, len(columns.rows[0]) - 1)
    numbers = columns.loose(NUMBER)
    words = [k for k in last if columns.varies(k) and not columns.rows[0][k].field and k not in numbers]
    folders = Counter(path.rpartition("/")[0] for path in paths)
    labelled = any(columns.rows[0][k].field or _kind(columns.rows[0][k]) == "number" for k in last)
    runs = all(set(columns.texts(k)) <= set(RUNS) for k in words)
    stages = any(STAGES.fullmatch(text) for k in words for text in columns.texts(k))
    if words and (stages or not labelled) and not runs and max(folders.values()) > 1:
        kinds = {path: [row[k].text for k in words] for path, row in zip(paths, columns.rows, strict=True)}
        _refuse(paths, lambda path: tuple(kinds[path]), "names")


def _refuse(paths: Sequence[str], kind: Callable[[str], object], what: str) -> None:
    """Refuse files of several kinds, the most frequent first."""
    kinds = {one: [path for path in paths if kind(path) == one] for one, _ in Counter(map(kind, paths)).most_common()}
    examples = [files[0] for files in kinds.values()][:MOST_SHOWN]
    raise TrajectoryError(
        f"files of several kinds by their {what}, such as {', '.join(examples)}",
        remedy=f"{name_one(list(kinds.values()))}; or a pattern that says what the parts of names mean, by fields such as "
        "{temperature}, {replica}, {system} and {run}",
    )


def _check_parted(paths: Sequence[str], columns: _Columns) -> None:
    """Refuse names that are not built alike: what differs in the number of its words meets another field, or some lack it."""
    fields = columns.fields()
    mixed = [name and not all(map(TOKEN.fullmatch, columns.texts(k))) for k, name in enumerate(fields)]
    meet = any(fields[k] and fields[k + 1] and (mixed[k] or mixed[k + 1]) for k in range(len(fields) - 1))
    lacking = any(name not in ("", "ending") and not all(columns.texts(k)) for k, name in enumerate(fields))
    if meet or lacking:
        raise TrajectoryError(
            f"names follow no common pattern: {_shown(paths)}",
            remedy="rename the files alike, with text between what differs, or list them in a table beside them (a .csv file), "
            "with a column of their names and others such as temperature and replica",
        )


def _keep_once(columns: _Columns) -> None:
    """Let every label be in one place: the one that differs, if another is the same in all names."""
    for label in ("system", *NUMBERED):
        places = [k for k, name in enumerate(columns.fields()) if name == label]
        values = {k: columns.texts(k) for k in places}
        differing = [k for k in places if columns.varies(k)]
        kept = (differing or places)[:1]
        for k in places:
            if k in kept or values[k] == values[kept[0]]:
                continue
            columns.name(k, "")
            if columns.varies(k):
                columns.name(k, f"other_{label}")
                columns.unknown.append(
                    f"which of two numbers is the {label}: {values[kept[0]][0]} is taken, {values[k][0]} is not"
                )


def _name_steps(columns: _Columns, paths: Sequence[str], at_step: Callable[[str, int], bool]) -> None:
    """Name the number in a file name that is the time step at which the file begins."""
    last = max((k for k, piece in enumerate(columns.rows[0]) if piece.text == "/"), default=-1)
    for k in reversed(columns.loose(WHOLE)):
        texts = columns.texts(k)
        ends = (0, -1)
        if k > last and all(at_step(paths[end], int(texts[end])) for end in ends):
            columns.name(k, "step")
            return


def _join_coined(columns: _Columns) -> list[tuple[Piece, ...]]:
    """Join numbers that differ to the words that they touch, as one word: `rho1.2`, `ka2d`, `part1`; return their parts."""
    coined: list[tuple[Piece, ...]] = []
    while touching := [
        k for k in columns.loose(NUMBER) if columns.is_part(k) and (columns.is_part(k - 1) or columns.is_part(k + 1))
    ]:
        first = last = touching[0]
        while columns.is_part(first - 1):
            first -= 1
        while columns.is_part(last + 1):
            last += 1
        coined.append(tuple(columns.rows[0][first : last + 1]))
        columns.join(first, last)
    return coined


def _ask_of_coined(columns: _Columns, coined: Sequence[tuple[Piece, ...]], counted: str) -> None:
    """Ask what numbers with a word of no known meaning are, that were taken for systems."""
    texts = ["".join(piece.text for piece in pieces) for pieces in coined]
    free = [label for label in ("temperature", counted) if label not in columns.fields()]
    row = columns.rows[0]
    for k, piece in enumerate(row):
        if piece.field != "system" or piece.text not in texts:
            continue
        question = f"what {_shown(columns.texts(k))} in the names mean: they are taken for systems, each with results of its own"
        if PIECES.match(piece.text):
            question += "; if they are pieces of one run, join them into one file first"
        if free:
            pieces = list(coined[texts.index(piece.text)])
            number = max(place for place, part in enumerate(pieces) if NUMBER.fullmatch(part.text))
            pieces[number] = Piece(pieces[number].text, free[0])
            pattern = _written([*row[:k], *pieces, *row[k + 1 :]])
            question += f'; if the number is the {free[0]}, begin with --data "{pattern}"'
        columns.unknown.append(question)


def _name_numbers(columns: _Columns, counted: str) -> None:
    """Name numbers that differ and have no word before them."""
    whole = columns.loose(WHOLE)
    reals = [k for k in columns.loose(NUMBER) if k not in whole]
    if len(reals) == 1 and "temperature" not in columns.fields():
        columns.name(reals[0], "temperature")
    if len(whole) == 1 and counted not in columns.fields():
        columns.name(whole[0], counted)
    for number, k in enumerate(whole if len(whole) > 1 or counted in columns.fields() else (), 1):
        if not columns.rows[0][k].field:
            columns.name(k, f"number_{number}")
            columns.unknown.append(
                f"what the numbers {_shown(columns.texts(k))} in the names mean: the field {{number_{number}}} distinguishes "
                f'them; if it is a label, begin with --data "{PATTERN}", and write {{temperature}}, {{replica}}, {{system}} or '
                f"{{step}} for {{number_{number}}}"
            )


def _name_words(columns: _Columns) -> None:
    """Name words that differ: runs, systems and endings."""
    end = len(columns.rows[0]) - 1
    if columns.varies(end):
        if not all(columns.texts(end)):
            columns.unknown.append("how names of files end, as some have no ending")
        columns.rows = [[*row[:-1], Piece("."), Piece(row[-1].text[1:], "ending")] for row in columns.rows]
    others = 0
    for k, name in enumerate(columns.fields()):
        if name or not columns.varies(k):
            continue
        if set(columns.texts(k)) <= set(RUNS):
            columns.name(k, "run")
        elif "system" not in columns.fields():
            columns.name(k, "system")
        else:
            others += 1
            columns.name(k, f"word_{others}")
            columns.unknown.append(
                f"what {_shown(columns.texts(k))} in the names mean: the field {{word_{others}}} distinguishes them"
            )


def _free_replicas(columns: _Columns) -> None:
    """Take numbers for seeds that differ but are replicas of nothing: every temperature of a system has only one."""
    places = [k for k, name in enumerate(columns.fields()) if name == "replica" and columns.varies(k)]
    others = [
        tuple((piece.field, piece.text) for piece in row if piece.field not in ("", "replica")) for row in columns.rows
    ]
    if len(set(others)) == len(others):
        for k in places:
            columns.name(k, "seed")


def _question(columns: _Columns) -> None:
    """Take no number for a label that may be written without its point: 0p45, 045 and 45 may be 0.45."""
    for k, name in enumerate(columns.fields()):
        unsure = [text for text in columns.texts(k) if name in UNSURE and UNSURE[name].fullmatch(text)]
        if unsure:
            columns.name(k, f"{name}_written")
            columns.unknown.append(
                f"the {name}: {unsure[0]} in the names may mean several numbers; write a table with the columns {name}_written "
                f"and {name}, a line for each of {_shown(columns.texts(k))}, and name it by `table`"
                + f"; or, if they are what they say, write {{{name}}} for {{{name}_written}}"
                * all(map(str.isdecimal, unsure))
            )


def _shown(texts: Sequence[str]) -> str:
    different = list(dict.fromkeys(texts))
    return ", ".join(different[:MOST_SHOWN]) + " …" * (len(different) > MOST_SHOWN)
