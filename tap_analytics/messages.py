"""Singer messages, written in blocks.

The SDK's writers flush after each message: a system call per record, at which threads that wait
for the interpreter take it away. Here messages gather in a block, which is written when it is large
enough, and before a STATE message can be seen without what came before it: a target that confirms a
state has been given all records that it stands for.
"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import ClassVar

import msgspec
from singer_sdk.singerlib import Message, StateMessage
from singer_sdk.singerlib.encoding import GenericSingerWriter

from tap_analytics._compat import override


def _text(value: object) -> str:
    """Spell what JSON has no form for, as the SDK does."""
    return value.isoformat(sep="T") if isinstance(value, datetime) else str(value)


_encoder = msgspec.json.Encoder(enc_hook=_text, decimal_format="number")


BLOCK = 64 * 1024
"""The size, in bytes, from which on a block is written."""


class MessageWriter(GenericSingerWriter[bytes, Message]):
    """Writes Singer messages to standard output, one JSON text a line."""

    # There is one standard output, so there is one block, whoever writes.
    _block: ClassVar[bytearray] = bytearray()

    @override
    def serialize_message(self, message: Message) -> bytes:
        """Encode a message.

        Args:
            message: Any Singer message. Integers and decimals in it keep every digit.

        Returns:
            A line of JSON in UTF-8, without its end.
        """
        return _encoder.encode(message.to_dict())

    @override
    def write_message(self, message: Message) -> None:
        """Write a message: at once if it is a STATE message, else with its block.

        Args:
            message: Any Singer message.
        """
        self._block.extend(self.format_message(message))
        self._block.extend(b"\n")
        if len(self._block) >= BLOCK or isinstance(message, StateMessage):
            self.flush()

    @classmethod
    def flush(cls) -> None:
        """Write the block, whatever its size."""
        block = bytes(cls._block)
        # First, so that what can't be written is not tried again.
        cls._block.clear()
        sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
