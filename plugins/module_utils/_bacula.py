# Copyright: (c) 2026, Duet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read Bacula's configuration language as Bacula 9.6 does. Pure: files come from a callable.

What differs from what one expects, each tried with ``bacula-dir -t`` and ``bdirjson``:

- letters and blanks form one word: ``D i r Address`` is ``DirAddress``, and ``Name = a b`` is the name ``ab``;
- a ``;`` is a line's end; a quoted string may run over several lines; ``\\`` takes the next character as it is;
- ``@file`` or ``@"file"`` may stand wherever a word begins, ``@|command`` and ``@|"command"`` read a command's output;
- a relative ``@file`` is looked for in the daemon's working directory, which under systemd is ``/``;
- ``@directory`` reads nothing, and ``@/some/*.conf`` is not a pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Read = Callable[[str], str]
"""Returns the text of a file, or of the output of the command after a leading ``|``. Raises OSError or ValueError."""

MAXIMUM_DEPTH = 20

_SKIP = re.compile(r"[ \t\r\f\v]+|#[^\n]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_WORD = re.compile(r'[A-Za-z](?:[A-Za-z]|[ \t\r\f\v])*(?=[={};,"#\n]|\Z)')
_STRING = re.compile(r"[^\s={};,#]+", re.ASCII)
_LETTERS = re.compile(r"[A-Za-z][A-Za-z \t\r\f\v]*")
_INCLUDE = re.compile(r'@(\|?)(?:"((?:[^"\\]|\\.)*)"|([^\s{};,"#]*))', re.DOTALL | re.ASCII)
_BLANKS = re.compile(r"[ \t\r\f\v]+")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True)
class Token:
    """``kind`` is ``text``, ``end`` (of a line) or one of ``{ } = ,``; ``start`` and ``stop`` are offsets."""

    kind: str
    text: str
    file: str
    line: int
    start: int
    stop: int


@dataclass(frozen=True)
class Problem:
    """Something that could not be read, and where."""

    file: str
    line: int
    message: str


@dataclass
class Directive:
    """``keyword = values`` or ``keyword { block }``; a resource is a directive at the top with a block."""

    keyword: str
    file: str
    line: int
    values: list[Token] = field(default_factory=list)
    block: list[Directive] = field(default_factory=list)
    start: int = 0  # of the keyword, in its file's text

    @property
    def name(self) -> str:
        """The keyword as Bacula compares it.

        >>> Directive("Dir Address", "f", 1).name
        'diraddress'
        """
        return normalised(self.keyword)

    def find(self, *names: str) -> list[Directive]:
        """The directives of the block with one of these names, in their order."""
        return [directive for directive in self.block if directive.name in names]

    def text(self, *names: str) -> str | None:
        """The value of the first such directive."""
        return next((d.values[0].text for d in self.find(*names) if d.values), None)


@dataclass
class Configuration:
    """All resources, in the order in which Bacula reads them, from all files."""

    resources: list[Directive] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def of_kind(self, *kinds: str) -> list[Directive]:
        return [resource for resource in self.resources if resource.name in kinds]


def normalised(keyword: str) -> str:
    return _BLANKS.sub("", keyword).lower()


def parse(path: str, read: Read) -> Configuration:
    """Parse ``path`` and all that it includes. Whatever can't be read becomes a Problem, and the rest is still read."""
    found = Configuration()
    tokens = _Tokens(_scan(path, read, found, depth=0))
    while not tokens.at_end():
        found.resources += _parse_block(tokens, found)
        if not tokens.at_end():
            stray = tokens.take()
            found.problems.append(Problem(stray.file, stray.line, "a } closes nothing"))
    return found


class _Tokens:
    """A stream of tokens with one token of look-ahead."""

    def __init__(self, source: Iterator[Token]) -> None:
        self._source = source
        self._next = next(source, None)

    def at_end(self) -> bool:
        return self._next is None

    def peek(self) -> str | None:
        return self._next.kind if self._next else None

    def take(self) -> Token:
        if self._next is None:
            raise ValueError("there is no further token")
        token, self._next = self._next, next(self._source, None)
        return token

    def skip(self, *kinds: str) -> None:
        while self.peek() in kinds:
            self.take()


def _parse_block(tokens: _Tokens, found: Configuration) -> list[Directive]:
    """Directives up to a closing brace, which is left to the caller, or up to the end."""
    directives = []
    tokens.skip("end", ",", "=")
    while tokens.peek() not in ("}", None):
        directives.append(_parse_directive(tokens, found))
        tokens.skip("end", ",", "=")
    return directives


def _parse_directive(tokens: _Tokens, found: Configuration) -> Directive:
    if tokens.peek() == "{":
        token = tokens.take()
        found.problems.append(Problem(token.file, token.line, "a { follows no keyword"))
        return _parse_braces(Directive("", token.file, token.line), tokens, found)
    first = tokens.take()
    directive = Directive(first.text, first.file, first.line, start=first.start)
    if tokens.peek() == "=":
        tokens.skip("=")
        directive.values = _parse_values(tokens)
    if not directive.values:
        tokens.skip("end")
    if tokens.peek() == "{":
        tokens.take()
        _parse_braces(directive, tokens, found)
    return directive


def _parse_braces(directive: Directive, tokens: _Tokens, found: Configuration) -> Directive:
    directive.block = _parse_block(tokens, found)
    if tokens.at_end():
        found.problems.append(Problem(directive.file, directive.line, f"the {{ of {directive.keyword} is never closed"))
    else:
        tokens.take()
    return directive


def _parse_values(tokens: _Tokens) -> list[Token]:
    values = []
    while tokens.peek() in ("text", ",", "="):
        token = tokens.take()
        if token.kind == "text":
            values.append(token)
    return values


def _scan(path: str, read: Read, found: Configuration, depth: int, cause: Token | None = None) -> Iterator[Token]:
    """The tokens of a file, with those of included files in their places."""
    file, line = (cause.file, cause.line) if cause else (path, 0)
    if depth > MAXIMUM_DEPTH:
        found.problems.append(Problem(file, line, f"{path} is included from itself"))
        return
    try:
        text = read(path)
    except (OSError, ValueError) as error:
        found.problems.append(Problem(file, line, f"{path} can't be read: {error}"))
        return
    if not path.startswith("|"):
        found.files.append(path)
    for token in _tokens(text, path):
        if token.kind == "include":
            yield from _scan(token.text, read, found, depth + 1, token)
        elif token.kind == "error":
            found.problems.append(Problem(token.file, token.line, token.text))
        else:
            yield token
    # A file's end is a line's end, also in the middle of another file.
    yield Token("end", "", path, text.count("\n") + 1, len(text), len(text))


def _tokens(text: str, file: str) -> Iterator[Token]:
    """Tokens of one text, with ``include`` and ``error`` among them."""
    position, line = 1 if text.startswith("\ufeff") else 0, 1
    while position < len(text):
        skipped = _SKIP.match(text, position)
        if skipped:
            position = skipped.end()
            continue
        kind, content, stop = _token_at(text, position)
        yield Token(kind, content, file, line, position, stop)
        line += text.count("\n", position, stop)
        position = stop


def _token_at(text: str, position: int) -> tuple[str, str, int]:
    """Kind, content and end of the token that begins here."""
    character = text[position]
    if character in "\n;":
        return "end", "", position + 1
    if character in "{}=,":
        return character, character, position + 1
    if character == '"':
        quoted = _QUOTED.match(text, position)
        if quoted is None:
            return "error", 'a " is never closed', len(text)
        return "text", _ESCAPE.sub(r"\1", quoted[1]), quoted.end()
    if character == "@":
        return _include_at(text, position)
    word = _WORD.match(text, position)
    if word:
        return "text", _BLANKS.sub("", word[0]), position + len(word[0].rstrip(" \t\r\f\v"))
    return _string_at(text, position)


def _include_at(text: str, position: int) -> tuple[str, str, int]:
    found = _INCLUDE.match(text, position)
    if found is None or not (found[2] or found[3]):
        return "error", "an @ names no file", position + 1
    target = found[3] if found[2] is None else _ESCAPE.sub(r"\1", found[2])
    return "include", found[1] + target, found.end()


def _string_at(text: str, position: int) -> tuple[str, str, int]:
    """An unquoted string. Blanks between its leading letters don't end it: ``a b1 c`` is ``ab1`` and then ``c``."""
    letters = _LETTERS.match(text, position)
    start = letters.end() if letters else position
    rest = _STRING.match(text, start)
    stop = rest.end() if rest else start
    return "text", _BLANKS.sub("", text[position:stop]), stop
