// A machine behind node-opcua's server: values of many types, encrypted sessions only (or none).
//
//     node ua_server.js FOLDER [none]
//
// Prints `port N` when it listens on 127.0.0.1, on a port that the kernel chooses. FOLDER takes its certificates: they are made at
// the first start, which takes some seconds. Only Basic256Sha256 with SignAndEncrypt is offered, or with `none` only the policy
// None; users are anonymous, or `press` with the password `EXAMPLE`. Client certificates are accepted as they come: that a server
// does not know the gateway is not what is tested here. `written N` is printed at each service that could change something.
//
// Namespace urn:millgate:test:peer (index as the server deals it): Counter (UInt32, grows by one each 50 ms), Pressure (Double,
// 21.3), Narrow (Float, 1.5), Running (Boolean, true), Order (String, "4711"), Level (Int16, -7), Big (Int64, -5000000000),
// Temperatures (Double[4]), Doubtful (Double with the status UncertainLastUsableValue), Broken (Double with BadSensorFailure).
// The end of the input ends the server.

"use strict";
const path = require("node:path");
const { OPCUAServer } = require("node-opcua-server");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { MessageSecurityMode, SecurityPolicy } = require("node-opcua-secure-channel");
const { DataType, Variant, VariantArrayType } = require("node-opcua-variant");
const { StatusCodes } = require("node-opcua-status-code");
const { DataValue } = require("node-opcua-data-value");

const [folder, security] = process.argv.slice(2);
const open = security === "none";

function variables(addressSpace, namespace) {
  const machine = namespace.addObject({ organizedBy: addressSpace.rootFolder.objects, browseName: "Press", nodeId: "s=Press" });
  const add = (name, dataType, get, more = {}) =>
    namespace.addVariable({
      componentOf: machine,
      browseName: name,
      nodeId: `s=Press.${name}`,
      dataType,
      minimumSamplingInterval: 10,
      value: get,
      ...more,
    });
  const fixed = (dataType, value) => ({ get: () => new Variant({ dataType, arrayType: VariantArrayType.Scalar, value }) });
  let count = 0;
  const counter = add("Counter", DataType.UInt32);
  const tick = () => counter.setValueFromSource(new Variant({ dataType: DataType.UInt32, value: count++ }));
  tick();
  const ticking = setInterval(tick, 50);
  add("Pressure", DataType.Double, fixed(DataType.Double, 21.3));
  add("Narrow", DataType.Float, fixed(DataType.Float, 1.5));
  add("Running", DataType.Boolean, fixed(DataType.Boolean, true));
  add("Order", DataType.String, fixed(DataType.String, "4711"));
  add("Level", DataType.Int16, fixed(DataType.Int16, -7));
  add("Big", DataType.Int64, fixed(DataType.Int64, [0xfffffffe, 0xd5fa0e00]));
  const temperatures = new Variant({
    dataType: DataType.Double,
    arrayType: VariantArrayType.Array,
    value: new Float64Array([20.5, 21.5, 22.5, 23.5]),
  });
  add("Temperatures", DataType.Double, { get: () => temperatures }, { valueRank: 1, arrayDimensions: [4] });
  const withStatus = (value, statusCode) => ({
    timestamped_get: () =>
      new DataValue({ value: new Variant({ dataType: DataType.Double, value }), statusCode, sourceTimestamp: new Date() }),
  });
  add("Doubtful", DataType.Double, withStatus(3.5, StatusCodes.UncertainLastUsableValue));
  add("Broken", DataType.Double, withStatus(0, StatusCodes.BadSensorFailure));
  return ticking;
}

/** Says each request that could change the machine. */
function watchForWrites(server) {
  const changing = ["WriteRequest", "CallRequest", "HistoryUpdateRequest", "AddNodesRequest", "DeleteNodesRequest"];
  let written = 0;
  server.on("request", (request) => {
    if (changing.includes(request.schema.name)) {
      written += 1;
      console.log(`written ${written}`);
    }
  });
}

/** A certificate for the address that the server has here; its own choice would be the name of this computer. */
async function certificate(manager, applicationUri) {
  const file = path.join(folder, "certificate.pem");
  await manager.initialize();
  await manager.createSelfSignedCertificate({
    applicationUri,
    dns: ["localhost"],
    ip: ["127.0.0.1"],
    outputFile: file,
    startDate: new Date(Date.now() - 86400000),
    subject: "/CN=Press",
    validity: 30,
  });
  return file;
}

async function main() {
  const applicationUri = "urn:millgate:test:node-opcua";
  const store = (name) => new OPCUACertificateManager({ rootFolder: path.join(folder, name), automaticallyAcceptUnknownCertificate: true });
  const certificates = store("pki");
  const certificateFile = await certificate(certificates, applicationUri);
  const server = new OPCUAServer({
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    port: 0,
    resourcePath: "/",
    serverInfo: { applicationUri },
    certificateFile,
    privateKeyFile: certificates.privateKey,
    securityPolicies: [open ? SecurityPolicy.None : SecurityPolicy.Basic256Sha256],
    securityModes: [open ? MessageSecurityMode.None : MessageSecurityMode.SignAndEncrypt],
    allowAnonymous: true,
    userManager: { isValidUser: (user, password) => user === "press" && password === "EXAMPLE" },
    serverCertificateManager: certificates,
    userCertificateManager: store("users"),
  });
  await server.initialize();
  const { addressSpace } = server.engine;
  const ticking = variables(addressSpace, addressSpace.registerNamespace("urn:millgate:test:peer"));
  watchForWrites(server);
  await server.start();
  console.log(`port ${server.endpoints[0].port}`);
  process.stdin.resume();
  process.stdin.on("end", async () => {
    clearInterval(ticking);
    await server.shutdown(0);
    process.exit(0);
  });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
