"""An agent that pays a gRPC service with grpcio, and with nothing of this project's: no stubs, no SDK.

usage: agent.py <host:port> <channel> <epoch> <seed in hex>

Signs credentials itself, sends them as metadata, and prints as JSON what it saw. Any surprise ends it with an error.
"""

import json
import struct
import sys
import threading
import time

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(data: bytes) -> str:
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def unbase58(text: str, size: int) -> bytes:
    number = 0
    for letter in text:
        number = number * 58 + ALPHABET.index(letter)
    return number.to_bytes(size, "big")


class Payer:
    """A key, and the channel that it signs for."""

    def __init__(self, channel: str, epoch: int, seed: str) -> None:
        self.channel, self.epoch = channel, epoch
        self.key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))

    def sign(self, seq: int) -> list[tuple[str, str]]:
        message = b"AMP\x01" + unbase58(self.channel, 32) + struct.pack("<QQ", self.epoch, seq)
        assert len(message) == 52
        signature = base58(self.key.sign(message))
        return [("amp-channel", self.channel), ("amp-seq", str(seq)), ("amp-sig", signature)]


def varint(number: int) -> bytes:
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(high) if high else bytes([low])


def order(count: int, size: int) -> bytes:
    """A market.v1.Order, as protobuf writes it."""
    return b"\x08" + varint(count) + b"\x10" + varint(size)


def said(metadata) -> dict:
    """The amounts in an answer's trailers."""
    return {key[4:]: value for key, value in metadata if key in ("amp-balance", "amp-spent", "amp-cost")}


def refusal(error) -> dict:
    metadata = dict(error.trailing_metadata())
    body = json.loads(metadata["amp-error-bin"]) if "amp-error-bin" in metadata else None
    return {"code": error.code().name, "body": body, **said(error.trailing_metadata())}


def refused(call, *arguments, **options) -> dict:
    try:
        call(*arguments, **options)
    except grpc.RpcError as error:
        return refusal(error)
    raise AssertionError("it was served")


def run(target: str, payer: Payer) -> dict:
    seen = {}
    with grpc.insecure_channel(target) as channel:
        # bytes in and bytes out: no generated code
        quote = channel.unary_unary("/market.v1.Market/Quote")
        fail = channel.unary_unary("/market.v1.Market/Fail")
        pages = channel.unary_stream("/market.v1.Market/Pages")
        increase = channel.unary_unary("/amp.v1.Payments/Raise")
        status = channel.unary_unary("/amp.v1.Payments/Channel")
        discovery = channel.unary_unary("/amp.v1.Payments/Discovery")

        seen["discovery"] = len(discovery(b""))
        seen["unpaid"] = refused(quote, order(1, 7))
        answer, call = quote.with_call(order(1, 7), metadata=payer.sign(250))
        assert answer == b"\x0a\x07" + b"x" * 7, answer
        seen["paid"] = said(call.trailing_metadata())
        seen["replayed"] = refused(quote, order(1, 7), metadata=payer.sign(250))
        forged = payer.sign(500)
        forged[1] = ("amp-seq", "501")
        seen["forged"] = refused(quote, order(1, 7), metadata=forged)
        seen["low"] = refused(quote, order(1, 7), metadata=payer.sign(499))
        seen["failed"] = refused(fail, order(1, 7), metadata=payer.sign(500))

        # ten pages of ten are signed for; while the stream waits for more, that is signed
        stream = pages(order(25, 3), metadata=payer.sign(250 + 100))

        def sign_more() -> None:
            time.sleep(0.5)
            increase(b"", metadata=payer.sign(750))

        threading.Thread(target=sign_more).start()
        seen["pages"] = len(list(stream))
        seen["stream"] = said(stream.trailing_metadata())

        # and nothing more is: it ends with what was delivered
        stream, delivered = pages(order(50, 3), metadata=payer.sign(751)), 0
        try:
            for _ in stream:
                delivered += 1
        except grpc.RpcError as error:
            seen["ended"] = {"delivered": delivered, **refusal(error)}
        seen["status"] = len(status(b"", metadata=payer.sign(0)))
    return seen


if __name__ == "__main__":
    target, address, epoch, seed = sys.argv[1:]
    print(json.dumps(run(target, Payer(address, int(epoch), seed))))
