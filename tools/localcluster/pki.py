"""Certificates and keys of one cluster, made with the openssl program: three authorities, so that a certificate for one
purpose (clients and servers, etcd, the aggregation front) is worth nothing for another.

Guarantee: `make` leaves either the whole directory or none.
"""

from __future__ import annotations

import base64
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from localcluster.commands import run
from localcluster.layout import API_SERVICE_ADDRESS, NODE_NAME

VALID_DAYS = 3650
CLUSTER, ETCD, FRONT = "ca", "etcd-ca", "front-proxy-ca"


@dataclass(frozen=True, slots=True)
class Certificate:
    """`common_name` is the user and `organization` the group, where it is a client's."""

    name: str
    authority: str
    common_name: str
    organization: str = ""
    names: tuple[str, ...] = ()
    """Subject alternative names as openssl writes them ("DNS:localhost"); with any, it serves too."""

    @property
    def subject(self) -> str:
        return (f"/O={self.organization}" if self.organization else "") + f"/CN={self.common_name}"

    @property
    def extensions(self) -> str:
        lines = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"]
        lines.append("extendedKeyUsage=clientAuth" + (",serverAuth" if self.names else ""))
        if self.names:
            lines.append("subjectAltName=" + ",".join(self.names))
        return "\n".join(lines) + "\n"


def certificates(*, node_address: str) -> tuple[Certificate, ...]:
    loopback = ("DNS:localhost", "IP:127.0.0.1")
    service = "kubernetes.default.svc.cluster.local"
    api_names = tuple(f"DNS:{'.'.join(service.split('.')[:depth])}" for depth in (1, 2, 3, 5))
    node_names = (f"DNS:{NODE_NAME}", f"IP:{node_address}", *loopback)
    api_names = (*api_names, f"IP:{API_SERVICE_ADDRESS}", *node_names)
    return (
        Certificate("etcd", ETCD, "etcd", names=loopback),
        Certificate("etcd-client", ETCD, "kube-apiserver"),
        Certificate("front-proxy", FRONT, "front-proxy"),
        Certificate("apiserver", CLUSTER, "kube-apiserver", names=api_names),
        Certificate("apiserver-kubelet", CLUSTER, "kube-apiserver-kubelet-client", "system:masters"),
        Certificate("node-serving", CLUSTER, f"node-{NODE_NAME}", names=node_names),
        Certificate("admin", CLUSTER, "vsm-local-admin", "system:masters"),
        Certificate("kubelet", CLUSTER, f"system:node:{NODE_NAME}", "system:nodes"),
        Certificate("kube-controller-manager", CLUSTER, "system:kube-controller-manager"),
        Certificate("kube-scheduler", CLUSTER, "system:kube-scheduler"),
        Certificate("kube-proxy", CLUSTER, "system:kube-proxy"),
        Certificate("kube-router", CLUSTER, "vsm-local:kube-router"),
    )


def make(directory: Path, *, node_address: str) -> None:
    unfinished = directory.with_name(f".{directory.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True, mode=0o700)
    for authority in (CLUSTER, ETCD, FRONT):
        _authority(unfinished, authority)
    for certificate in certificates(node_address=node_address):
        _issue(unfinished, certificate)
    key = unfinished / "service-accounts"
    run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", f"{key}.key"])
    run(["openssl", "pkey", "-in", f"{key}.key", "-pubout", "-out", f"{key}.pub"])
    for path in unfinished.iterdir():
        path.chmod(0o600)
    os.sync()
    shutil.rmtree(directory, ignore_errors=True)
    unfinished.rename(directory)


def kubeconfig(pki: Path, *, user: str, server: str, context: str) -> str:
    """A kubeconfig with everything embedded, for the client certificate `user`."""

    def embedded(name: str) -> str:
        return base64.b64encode((pki / name).read_bytes()).decode()

    return f"""\
apiVersion: v1
kind: Config
current-context: {context}
clusters:
- name: {context}
  cluster:
    server: {server}
    certificate-authority-data: {embedded(f"{CLUSTER}.crt")}
contexts:
- name: {context}
  context:
    cluster: {context}
    user: {context}
users:
- name: {context}
  user:
    client-certificate-data: {embedded(f"{user}.crt")}
    client-key-data: {embedded(f"{user}.key")}
"""


def _authority(directory: Path, name: str) -> None:
    run(
        ["openssl", "req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", str(directory / f"{name}.key"), "-out", str(directory / f"{name}.crt"), "-days", str(VALID_DAYS),
         "-subj", f"/CN=vsm-local-{name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]
    )  # fmt: skip


def _issue(directory: Path, certificate: Certificate) -> None:
    base, authority = directory / certificate.name, directory / certificate.authority
    extensions = base.with_suffix(".ext")
    extensions.write_text(certificate.extensions, encoding="utf-8")
    request = run(
        ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", f"{base}.key", "-subj", certificate.subject]
    )  # fmt: skip
    run(
        ["openssl", "x509", "-req", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key", "-CAcreateserial",
         "-days", str(VALID_DAYS), "-extfile", str(extensions), "-out", f"{base}.crt"],
        given=request,
    )  # fmt: skip
    extensions.unlink()
