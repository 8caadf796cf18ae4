"""An agent that pays an MCP server with the official SDK for Python, and with nothing of this project's.

usage: agent.py <server> <mode>

Starts the server over pipes, reads where its channel is, signs credentials itself, and prints as JSON what it
saw. Any surprise ends it with an error.
"""

import asyncio
import json
import struct
import sys
import tempfile
from pathlib import Path

import mcp.types as types
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from mcp import Client, MCPError, StdioServerParameters
from pydantic import BaseModel, ConfigDict

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

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()

    def address(self) -> str:
        return base58(self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def find(self, file: Path) -> None:
        place = json.loads(file.read_text())
        self.channel, self.epoch, self.price = place["channel"], int(place["epoch"]), place["price"]

    def sign(self, seq: int) -> dict[str, str]:
        message = b"AMP\x01" + unbase58(self.channel, 32) + struct.pack("<QQ", self.epoch, seq)
        assert len(message) == 52
        return {"channel": self.channel, "seq": str(seq), "sig": base58(self.key.sign(message))}


class Anything(BaseModel):
    """A result of a method that the SDK does not know."""

    model_config = ConfigDict(extra="allow")


async def ask(client: Client, method: str, params: dict) -> dict:
    request = types.Request[dict, str](method=method, params=params)
    answer = await client.session.send_request(request, Anything)
    return answer.model_dump()


async def refused(call) -> dict:
    try:
        await call
    except MCPError as error:
        assert error.message == error.data["error"], error.data
        return {"code": error.code, "message": error.message, "rate": error.data["amp_pricing"]["rate"]}
    raise AssertionError("it was served")


async def run(server: str, mode: str) -> dict:
    payer, folder = Payer(), tempfile.TemporaryDirectory()
    file = Path(folder.name) / "place.json"
    parameters = StdioServerParameters(command=server, args=[payer.address(), str(file)])
    seen: dict = {}
    async with Client(parameters, mode=mode, read_timeout_seconds=30) as client:
        payer.find(file)
        tools = await client.list_tools()
        seen["tools"] = [tool.name for tool in tools.tools]
        pricing = await ask(client, "amp/pricing", {})
        seen["rate"] = pricing["pricing"]["default"]["rate"]
        seen["unpaid"] = await refused(client.call_tool("quote", {}))

        receipts = []
        for call in range(1, 4):
            paid = await client.call_tool("quote", {}, meta={"amp": payer.sign(call * payer.price)})
            assert paid.content[0].text == "42" and not paid.is_error
            receipts.append(paid.meta["amp"])
        seen["receipts"] = receipts
        failed = await client.call_tool("fail", {}, meta={"amp": payer.sign(4 * payer.price)})
        assert failed.is_error
        seen["failed"] = failed.meta["amp"]["cost"]
        seen["free"] = (await client.call_tool("free", {})).content[0].text
        seen["replayed"] = await refused(client.call_tool("quote", {}, meta={"amp": payer.sign(payer.price)}))
        forged = payer.sign(5 * payer.price) | {"seq": str(6 * payer.price)}
        seen["forged"] = await refused(client.call_tool("quote", {}, meta={"amp": forged}))

        # `_amp` beside the name: fields that the SDK has no room for, in a request of its own making
        credential = payer.sign(4 * payer.price + 1)
        seen["field"] = (await ask(client, "tools/call", {"name": "quote", "_amp": credential}))["_amp"]
        status = await ask(client, "amp/channel", {"_meta": {"amp": payer.sign(0)}})
        seen["spent"], seen["last_seq"] = status["spent"], status["last_seq"]

        # paid for by the unit of work, of which ten are signed for: the rest is once the server asks for it
        spent = 4 * payer.price
        work = client.call_tool("work", {"n": 25}, meta={"amp": payer.sign(spent + 30)})
        work = asyncio.create_task(work)
        while not work.done() and "required" not in seen:
            status = await ask(client, "amp/channel", {"_meta": {"amp": payer.sign(0)}})
            if required := status.get("required_seq"):
                seen["required"] = int(required) - spent
                await ask(client, "amp/credential", {"_meta": {"amp": payer.sign(spent + 75)}})
            await asyncio.sleep(0.02)
        seen["work"] = (await work).meta["amp"]["cost"]
        seen["protocol"] = client.protocol_version
    # the server settles once its pipe is closed
    for _ in range(100):
        end = json.loads(file.read_text())
        if "earned" in end:
            return seen | end
        await asyncio.sleep(0.1)
    raise AssertionError("it did not settle")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(sys.argv[1], sys.argv[2]))))
