"""A real Kubernetes node on this machine, without Docker and without pulling an image.

Everything runs inside one holder process's mount, network and process-id namespaces (node.py). That choice carries the
clean-up: when the holder dies the kernel ends every process of the cluster and drops its mounts, interfaces and
firewall rules, so a killed run leaves nothing but files, one cgroup tree and, for a moment, a dying process.

Modules, from the bottom up: errors, progress, layout (every name and path), processes and cgroups (what is ours),
addresses, toolchain, builds and etcd_program (binaries in the user's cache), prerequisites, pki, render and manifests
(pure texts), node and network (namespaces, links), components and probes (what runs, when it is well), images, startup
and teardown, cluster (the verbs), __main__ (the command line). The directories beside them are Go modules.
"""
