"""An OPC UA server that nobody of us wrote: asyncua, with a node of every kind that the tests read.

Orders come as JSON, one a line, on standard input; each is answered by a line. The first says how to start:
`{"port": 0, "pki": DIR, "user": [NAME, PASSWORD], "certificate": FILE, "before": [URI...]}`; the answer is `port N`. Later ones:
`{"set": {NAME: VALUE}}`, `{"status": {NAME: CODE}}` (an Int32, 0), `{"burst": [NAME, FIRST, LAST]}`, `{"state": NAME}`,
`{"stamped": [NAME, VALUE, SOURCE TIME IN MS SINCE 1970]}`, `{"add": NAME}`.
`python ua_server.py certificates DIR` makes `DIR/server`, `DIR/pki/own`, `DIR/user` and `DIR/stranger` and ends.
"""

import asyncio
import datetime
import ipaddress
import json
import logging
import socket
import sys
import uuid
from pathlib import Path

from asyncua import Server, ua
from asyncua.common.structures104 import new_enum, new_struct, new_struct_field
from asyncua.crypto.permission_rules import SimpleRoleRuleset
from asyncua.server.user_managers import UserManager
from asyncua.crypto.permission_rules import User, UserRole
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PRESS = "http://acme.example/press"
SERVER_URI = "urn:acme.example:press"
POLICIES = [
    ua.SecurityPolicyType.NoSecurity,
    ua.SecurityPolicyType.Basic256Sha256_Sign,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_Sign,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_Sign,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]
SOURCE_TIME = datetime.datetime(2026, 7, 1, 6, 0, 0, tzinfo=datetime.timezone.utc)


def certificate(folder: Path, name: str, uri: str) -> None:
    """A key and a certificate that it signed itself."""
    folder.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [
        x509.UniformResourceIdentifier(uri),
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    usage = x509.KeyUsage(True, True, True, True, False, True, False, False, False)
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.der").write_bytes(made.public_bytes(serialization.Encoding.DER))
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(pem)


class Users(UserManager):
    """Lets in the one user there is, by name or by certificate, or everybody where there is none."""

    def __init__(self, user, certificate):
        self.user = user
        self.certificate = Path(certificate).read_bytes() if certificate else None

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if self.certificate is not None:
            return User(role=UserRole.User, name="certificate") if certificate == self.certificate else None
        if self.user is None or [username, password] == self.user:
            return User(role=UserRole.User, name=username)
        return None


class Press:
    """The nodes."""

    def __init__(self, server: Server):
        self.server = server
        self.nodes = {}
        self.states = {}

    async def build(self, before: list[str]) -> None:
        for uri in before:
            await self.server.register_namespace(uri)
        self.ns = await self.server.register_namespace(PRESS)
        ns = self.ns
        self.root = await self.server.nodes.objects.add_object(ua.NodeId("Press", ns), ua.QualifiedName("Press", ns))
        kinds = ua.VariantType
        for name, value, kind in [
            ("Bool", True, kinds.Boolean),
            ("SByte", -5, kinds.SByte),
            ("Byte", 250, kinds.Byte),
            ("Int16", -30000, kinds.Int16),
            ("UInt16", 60000, kinds.UInt16),
            ("Int32", -2000000000, kinds.Int32),
            ("UInt32", 4000000000, kinds.UInt32),
            ("Int64", -(2**63), kinds.Int64),
            ("UInt64", 2**63 - 1, kinds.UInt64),
            ("Huge", 2**63, kinds.UInt64),
            ("Float", 21.3, kinds.Float),
            ("Double", 0.1, kinds.Double),
            ("NaN", float("nan"), kinds.Double),
            ("String", "A7", kinds.String),
            ("Text", ua.LocalizedText("läuft", "de"), kinds.LocalizedText),
            ("Name", ua.QualifiedName("Speed", 1), kinds.QualifiedName),
            ("Guid", uuid.UUID("72962b91-fa75-4ae6-8d28-b404dc7daf63"), kinds.Guid),
            ("Time", SOURCE_TIME, kinds.DateTime),
            ("Bytes", b"\xde\xad", kinds.ByteString),
            ("Node", ua.NodeId("Press", ns), kinds.NodeId),
            ("Array", [5, 6, 7], kinds.Int32),
            ("Counter", 0, kinds.Int32),
            ("Flow", 0.5, kinds.Double),
        ]:
            await self.add(name, value, kind)
        await self.stamped("Flow", 0.5, SOURCE_TIME)
        await self.structures()
        await self.machine()

    async def add(self, name, value, kind, data_type=None):
        ns = self.ns
        node = await self.root.add_variable(ua.NodeId(name, ns), ua.QualifiedName(name, ns), value, kind, data_type)
        self.nodes[name] = node
        return node

    async def stamped(self, name, value, source) -> None:
        node = self.nodes[name]
        old = await node.read_data_value()
        value = ua.DataValue(
            ua.Variant(value, old.Value.VariantType), SourceTimestamp=source, ServerTimestamp=datetime.datetime.now(datetime.timezone.utc)
        )
        await node.write_value(value)

    async def structures(self) -> None:
        ns, server = self.ns, self.server
        part, _ = await new_struct(
            server,
            ns,
            "Part",
            [new_struct_field("Id", ua.VariantType.String), new_struct_field("Weights", ua.VariantType.Float, array=True)],
        )
        await new_enum(server, ns, "Colour", ["Red", "Green"])
        job, _ = await new_struct(
            server,
            ns,
            "Job",
            [
                new_struct_field("Part", part),
                new_struct_field("AccCount", ua.VariantType.UInt32),
                new_struct_field("Note", ua.VariantType.String, optional=True),
                new_struct_field("Shifts", ua.VariantType.Int16, array=True),
            ],
        )
        await server.load_data_type_definitions()
        value = self.job(417)
        await self.add("Job", value, ua.VariantType.ExtensionObject, job.nodeid)
        await self.add("Jobs", [self.job(1), self.job(2)], ua.VariantType.ExtensionObject, job.nodeid)
        unit = ua.EUInformation(NamespaceUri="http://www.opcfoundation.org/UA/units/un/cefact", UnitId=4408652)
        await self.add("Unit", unit, ua.VariantType.ExtensionObject, ua.NodeId(ua.ObjectIds.EUInformation))
        await self.add("Colour", ua.Colour.Green, ua.VariantType.Int32)

    def job(self, count):
        return ua.Job(
            Part=ua.Part(Id="A7", Weights=[21.5, 22.5]), AccCount=count, Note=None, Shifts=[7, 8, 9]
        )

    async def machine(self) -> None:
        """A state machine, whose texts are translated and whose states are nodes."""
        ns = self.ns
        machine = await self.root.add_object(ua.NodeId("Machine", ns), ua.QualifiedName("Machine", ns))
        for name in ["NotExecuting", "Executing"]:
            state = await machine.add_object(ua.NodeId(f"Machine.{name}", ns), ua.QualifiedName(name, ns))
            self.states[name] = state.nodeid
        current = await machine.add_variable(
            ua.NodeId("Machine.CurrentState", ns), ua.QualifiedName("CurrentState", 0), ua.LocalizedText("steht", "de")
        )
        self.nodes["Text of state"] = current
        self.nodes["Id"] = await current.add_property(
            ua.NodeId("Machine.CurrentState.Id", ns), ua.QualifiedName("Id", 0), self.states["NotExecuting"], ua.VariantType.NodeId
        )

    async def obey(self, order) -> None:
        for name, value in order.get("set", {}).items():
            node = self.nodes[name]
            kind = (await node.read_data_value()).Value.VariantType
            await node.write_value(ua.Variant(value, kind))
        for name, count in order.get("jobs", {}).items():
            await self.nodes[name].write_value(self.job(count))
        for name, code in order.get("status", {}).items():
            node = self.nodes[name]
            value = ua.DataValue(ua.Variant(0, ua.VariantType.Int32), ua.StatusCode(code), SourceTimestamp=datetime.datetime.now(datetime.timezone.utc))
            await node.write_value(value)
        if "burst" in order:
            name, first, last = order["burst"]
            kind = (await self.nodes[name].read_data_value()).Value.VariantType
            for value in range(first, last + 1):
                await self.nodes[name].write_value(ua.Variant(value, kind))
        if "stamped" in order:
            name, value, unix_ms = order["stamped"]
            epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
            await self.stamped(name, value, epoch + datetime.timedelta(milliseconds=unix_ms))
        if "state" in order:
            await self.nodes["Text of state"].write_value(ua.LocalizedText("irgendwas", "de"))
            await self.nodes["Id"].write_value(ua.Variant(self.states[order["state"]], ua.VariantType.NodeId))
        if "add" in order:
            await self.add(order["add"], 1, ua.VariantType.Int32)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def main() -> None:
    loop = asyncio.get_running_loop()
    read = lambda: loop.run_in_executor(None, sys.stdin.readline)
    first = json.loads(await read())
    server = Server(user_manager=Users(first.get("user"), first.get("certificate")))
    await server.init()
    await server.set_application_uri(SERVER_URI)
    port = first.get("port") or free_port()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/press")
    if first.get("user"):
        server.set_identity_tokens([ua.UserNameIdentityToken])
    if first.get("certificate"):
        server.set_identity_tokens([ua.X509IdentityToken])
    if first.get("pki"):
        folder = Path(first["pki"])
        await server.load_certificate(str(folder / "server" / "cert.der"))
        await server.load_private_key(str(folder / "server" / "key.pem"))
        server.set_security_policy(POLICIES, permission_ruleset=SimpleRoleRuleset())
    else:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    press = Press(server)
    await press.build(first.get("before", []))
    async with server:
        print(f"port {port}", flush=True)
        while line := await read():
            await press.obey(json.loads(line))
            print("done", flush=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.CRITICAL)
    if sys.argv[1:2] == ["certificates"]:
        folder = Path(sys.argv[2])
        certificate(folder / "server", "Press", SERVER_URI)
        certificate(folder / "user", "A user", "urn:acme.example:user")
        certificate(folder / "stranger", "A stranger", "urn:acme.example:stranger")
        certificate(folder / "pki" / "own", "Millgate", "urn:acme.example:millgate")
    else:
        asyncio.run(main())
