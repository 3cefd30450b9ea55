"""Large JSON documents read one element at a time.

A slice of the Million Playlist Dataset is one JSON object of 20 to 40 MB, and other people's exports are larger still.
This keeps one chunk and one element in memory, and parses with the standard library's C scanner.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from segue.errors import InputError

_CHUNK = 1 << 18
_MOST_ELEMENT = 1 << 26
_AFTER_A_VALUE = tuple(" \t\n\r,:]}")
_SPACE = re.compile(r"[ \t\n\r]*")


class JsonStream:
    """One top-level JSON object, read forward once.

    Invalid UTF-8 becomes lone surrogates, so that damage is found in the entry that has it.

    Attributes:
        fields: The object's other fields, as far as they were read.
    """

    def __init__(self, stream: BinaryIO, where: str) -> None:
        """Read from ``stream``; ``where`` names the document in errors."""
        self.fields: dict[str, Any] = {}
        self._stream, self._where = stream, where
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self._scan = json.JSONDecoder().raw_decode
        self._text, self._at, self._ended = "", 0, False

    def elements(self, name: str) -> Iterator[Any]:
        """Yield the elements of the array that is the field ``name``, then read the object to its end.

        Raises:
            InputError: The document is no JSON object, has no such array, or is cut off.
        """
        found = False
        self._expect("{")
        while self._peek() != "}":
            field = self._value()
            self._expect(":")
            if field == name and not found:
                found = True
                yield from self._array(name)
            else:
                self.fields[str(field)] = self._value()
            if self._peek() == ",":
                self._at += 1
            elif self._peek() != "}":
                raise self._broken("a comma or } is missing")
        self._at += 1
        if self._peek():
            raise self._broken("something follows its end")
        if not found:
            raise InputError(f'{self._where} holds no list "{name}"; it is JSON of another shape than --format says.')

    def _array(self, name: str) -> Iterator[Any]:
        if self._peek() != "[":
            raise InputError(f'In {self._where} "{name}" is no list; it is JSON of another shape than --format says.')
        self._at += 1
        while self._peek() != "]":
            yield self._value()
            if self._peek() == ",":
                self._at += 1
            elif self._peek() != "]":
                raise self._broken("a comma or ] is missing")
        self._at += 1

    def _peek(self) -> str:
        """Return the next character that is no space, "" at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._read(_CHUNK):
                return ""

    def _expect(self, sign: str) -> None:
        if self._peek() != sign:
            raise self._broken(f"{sign} is missing")
        self._at += 1

    def _value(self) -> Any:
        """Return the next value, reading on while it is incomplete; each try reads twice as much."""
        self._peek()
        more = _CHUNK
        while True:
            try:
                value, end = self._scan(self._text, self._at)
                if self._ended or self._text[end : end + 1] in _AFTER_A_VALUE:  # else a number might go on
                    self._at = end
                    return value
                if len(self._text) - end > _CHUNK:
                    raise self._broken("a comma is missing")
            except json.JSONDecodeError as error:
                if self._ended or len(self._text) - self._at > _MOST_ELEMENT:
                    raise self._broken(error.msg) from error
            except RecursionError as error:
                raise self._broken("nested too deep") from error
            except ValueError as error:  # Python makes no number of more than 4,300 digits
                raise self._broken("a number is too long") from error
            self._read(more)
            more *= 2

    def _read(self, size: int) -> bool:
        if self._ended:
            return False
        data = self._stream.read(size)
        self._ended = not data
        self._text = self._text[self._at :] + self._decoder.decode(data, final=self._ended)
        self._at = 0
        return True

    def _broken(self, why: str) -> InputError:
        return InputError(f"{self._where} is no whole JSON object ({why}); fetch or export it again.")
