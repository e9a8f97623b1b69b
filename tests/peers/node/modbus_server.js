// A Modbus TCP server of another make, with the manners of that make.
//
//     node modbus_server.js jsmodbus|modbus-serial
//
// Prints `port N` when it listens on 127.0.0.1, on a port that the kernel chooses. Registers and input registers 0 to 99 hold
// their own addresses (input registers 1000 more), coils and discrete inputs are set where the address is even.
//
// jsmodbus answers every unit, and answers what lies behind its tables with success and no values. modbus-serial serves unit 7
// and says nothing to the others; registers from 50 to 59 are an exception 2 here, as its reader throws one.
// The end of the input ends the server.

"use strict";
const net = require("node:net");

const PLACES = 100;

const makes = {
  jsmodbus() {
    const { server: servers } = require("jsmodbus");
    const words = (first) => {
      const table = Buffer.alloc(2 * PLACES);
      for (let place = 0; place < PLACES; place++) table.writeUInt16BE(first + place, 2 * place);
      return table;
    };
    const bits = () => Buffer.alloc(Math.ceil(PLACES / 8), 0x55);
    const socket = new net.Server();
    new servers.TCP(socket, { coils: bits(), discrete: bits(), holding: words(0), input: words(1000) });
    socket.listen({ host: "127.0.0.1", port: 0 });
    return socket;
  },

  "modbus-serial"() {
    const { ServerTCP } = require("modbus-serial");
    const absent = (place) => {
      if (place >= 50 && place < 60) throw Object.assign(new Error("no such register"), { modbusErrorCode: 2 });
      return place;
    };
    const even = (place) => place % 2 === 0;
    const vector = {
      getHoldingRegister: absent,
      getInputRegister: (place) => 1000 + place,
      getCoil: even,
      getDiscreteInput: even,
    };
    // As text: it takes the number 0 for its standard port.
    const server = new ServerTCP(vector, { host: "127.0.0.1", port: "0", unitID: 7 });
    server.on("socketError", () => {});
    return server._server;
  },
};

const server = makes[process.argv[2]]();
server.on("listening", () => console.log(`port ${server.address().port}`));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
