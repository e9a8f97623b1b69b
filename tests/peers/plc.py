"""A PLC behind a Modbus server (pymodbus) that shows given values, encoded by pymodbus itself.

    python plc.py PORT         0 lets the kernel choose; prints `port N` when it listens on 127.0.0.1
    python plc.py PORT rtu     the same with RTU frames over TCP
    python plc.py /dev/...     RTU on a serial port or pty; prints `port 0` when it is open

First line of its standard input: a JSON list of {"table": "holding", "address": 4, "type": "FLOAT32", "order": "CDAB",
"value": 21.3}. Tables are coil, discrete, holding, input; types those of pymodbus (INT16 ... FLOAT64, STRING), BITS for
single bits, or REGISTERS for raw ones. pymodbus swaps words; the bytes inside a register are swapped here, for BADC and DCBA.
Registers 0 to 199 exist, and the same number of bits; beyond them pymodbus answers with exception 2. The end of the input
ends the server.
"""

import asyncio
import json
import sys

from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

PLACES = 200
UNIT = 7


def registers(cell):
    if cell["type"] == "REGISTERS":
        return cell["value"]
    kind = AsyncModbusTcpClient.DATATYPE[cell["type"]]
    words_reversed = cell["order"] in ("CDAB", "DCBA") and cell["type"] != "STRING"
    words = AsyncModbusTcpClient.convert_to_registers(
        cell["value"], kind, word_order="little" if words_reversed else "big"
    )
    if cell["order"] in ("BADC", "DCBA") and (len(words) > 1 or cell["type"] == "STRING"):
        words = [int.from_bytes(word.to_bytes(2, "big"), "little") for word in words]
    return words


def device(cells):
    tables = {
        "coil": [False] * PLACES,
        "discrete": [False] * PLACES,
        "holding": [0] * PLACES,
        "input": [0] * PLACES,
    }
    for cell in cells:
        content = [cell["value"]] if cell["type"] == "BITS" else registers(cell)
        start = cell["address"]
        tables[cell["table"]][start : start + len(content)] = content
    blocks = tuple(
        [SimData(0, values=content, datatype=DataType.BITS if bits else DataType.REGISTERS)]
        for bits, content in zip((True, True, False, False), tables.values())
    )
    return SimDevice(UNIT, blocks)


def server_for(cells, place, framing):
    if place.startswith("/"):
        # A pty has no parity, and refuses one.
        return ModbusSerialServer(device(cells), framer=FramerType.RTU, port=place, baudrate=19200)
    framer = FramerType.RTU if framing == "rtu" else FramerType.SOCKET
    return ModbusTcpServer(device(cells), framer=framer, address=("127.0.0.1", int(place)))


async def main():
    cells = json.loads(sys.stdin.readline())
    place, framing = (sys.argv[1:] + ["socket"])[:2]
    server = server_for(cells, place, framing)
    await server.serve_forever(background=True)
    port = 0 if place.startswith("/") else server.transport.sockets[0].getsockname()[1]
    print(f"port {port}", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        pass
    await server.shutdown()


asyncio.run(main())
