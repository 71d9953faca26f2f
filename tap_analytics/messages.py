"""Singer messages, written in blocks.

The SDK's writers flush after each message: a system call per record, at which threads that wait
for the interpreter take it away. Here messages gather in the buffer of standard output, and are
flushed with each STATE message: a target that confirms a state has been given all records that it
stands for.
"""

from __future__ import annotations

import sys
from datetime import datetime

import msgspec
from singer_sdk.singerlib import Message, StateMessage
from singer_sdk.singerlib.encoding import GenericSingerWriter

from tap_analytics._compat import override


def _text(value: object) -> str:
    """Spell what JSON has no form for, as the SDK does."""
    return value.isoformat(sep="T") if isinstance(value, datetime) else str(value)


_encoder = msgspec.json.Encoder(enc_hook=_text, decimal_format="number")


BLOCK = 64 * 1024
"""The size, in bytes, of the buffer that standard output should have."""


class MessageWriter(GenericSingerWriter[bytes, Message]):
    """Writes Singer messages to standard output, one JSON text a line."""

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
        """Write a message; a STATE message is flushed with all that came before it.

        Args:
            message: Any Singer message.
        """
        output = sys.stdout.buffer
        # In one piece: whatever interrupts the tap, no line is cut in two.
        output.write(self.format_message(message) + b"\n")
        if isinstance(message, StateMessage):
            output.flush()
