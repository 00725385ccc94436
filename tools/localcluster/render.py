"""The components' configuration files as text: pure, same arguments give the same text. JSON where YAML is read."""

from __future__ import annotations

import json

from localcluster.layout import DNS_SERVICE_ADDRESS, NODE_NAME, NODE_STATE, POD_RANGE, UPSTREAM_DNS_ADDRESS

POD_SUBNET = "10.244.0.0/24"
"""The one node's share of the pod range; the controller manager gives the node the same one."""
PAUSE_IMAGE = "localhost/vsm-pause:1"
MAX_PODS = 250
POD_PIDS_LIMIT = 1024


def resolv_conf() -> str:
    return f"nameserver {UPSTREAM_DNS_ADDRESS}\noptions timeout:2 attempts:3\n"


def containerd(*, socket: str, cni_directory: str, snapshotter: str) -> str:
    """Version 2 of the format is read by containerd 1.6 and 1.7, and converted by 2.x.

    restrict_oom_score_adj: without CAP_SYS_RESOURCE every sandbox would fail. disable_apparmor: loading a profile would
    change the host. The `opt` plugin makes directories in the host's /opt.
    """
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{socket}"

[debug]
  level = "warn"

[{cri}]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"

[{cri}.cni]
  bin_dir = "{cni_directory}"
  conf_dir = "{NODE_STATE}/config/cni"

[{cri}.containerd]
  snapshotter = "{snapshotter}"
  default_runtime_name = "runc"

[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[{cri}.containerd.runtimes.runc.options]
  SystemdCgroup = false
"""


def cni(*, has_ipv6: bool) -> str:
    """The bridge. IPv6 is off on the pods' interface: link-local traffic over the bridge would pass by every policy."""
    plugins: list[dict[str, object]] = [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "dataDir": "/run/cni",
                "ranges": [[{"subnet": POD_SUBNET}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    if has_ipv6:
        plugins.append({"type": "tuning", "sysctl": {"net.ipv6.conf.eth0.disable_ipv6": "1"}})
    return _json({"cniVersion": "0.4.0", "name": "vsm-local", "plugins": plugins})


def kubelet(*, cgroup: str, containerd_socket: str) -> str:
    certificate = f"{NODE_STATE}/pki/node-serving"
    return _json(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": f"{NODE_STATE}/pki/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroup}",
            "clusterDNS": [DNS_SERVICE_ADDRESS],
            "clusterDomain": "cluster.local",
            "containerLogMaxSize": "10Mi",
            "containerLogMaxFiles": 2,
            "containerRuntimeEndpoint": f"unix://{containerd_socket}",
            # A developer's disk is often nearly full: only a real shortage may evict pods or drop loaded images.
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "nodefs.inodesFree": "1%",
                "imagefs.available": "1%",
            },
            "imageGCHighThresholdPercent": 100,
            "failCgroupV1": False,
            "failSwapOn": False,
            "healthzBindAddress": "127.0.0.1",
            "healthzPort": 10248,
            "maxPods": MAX_PODS,
            "oomScoreAdj": 0,
            "podPidsLimit": POD_PIDS_LIMIT,
            # With true the kubelet refuses to start rather than change the host's sysctls; node-setup.sh shows it the
            # values that it wants.
            "protectKernelDefaults": True,
            "readOnlyPort": 0,
            "resolvConf": f"{NODE_STATE}/config/resolv.conf",
            "rotateCertificates": False,
            "tlsCertFile": f"{certificate}.crt",
            "tlsPrivateKeyFile": f"{certificate}.key",
            "volumePluginDir": "/var/lib/kubelet/plugins-exec",
        }
    )


def kube_proxy() -> str:
    """iptables mode; the zeros leave conntrack's sysctls alone, which belong to the host's first network namespace."""
    return _json(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clusterCIDR": POD_RANGE,
            "clientConnection": {"kubeconfig": f"{NODE_STATE}/config/kube-proxy.kubeconfig"},
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
            "healthzBindAddress": "127.0.0.1:10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "hostnameOverride": NODE_NAME,
            "iptables": {"localhostNodePorts": False, "minSyncPeriod": "200ms"},
            "oomScoreAdj": 0,
        }
    )


def audit_policy() -> str:
    """Who wrote what, once per request, without the cluster's own parts: the benches count writes from this log."""
    return _json(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [
                {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi/*"]},
                {
                    "level": "None",
                    "users": [
                        "system:apiserver",
                        "system:kube-controller-manager",
                        "system:kube-proxy",
                        "system:kube-scheduler",
                        "vsm-local:kube-router",
                    ],
                },
                {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"]},
                {"level": "Metadata"},
            ],
        }
    )


def _json(document: object) -> str:
    return json.dumps(document, indent=2) + "\n"
