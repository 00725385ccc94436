#!/bin/sh
# First process of a node: runs in fresh mount, network and process-id namespaces, arranges them, becomes `pause`.
# Nothing here reaches the host: mounts made on the host still arrive (slave propagation), none go back.
#
# Usage: node-setup.sh RUNTIME_DIRECTORY STATE_DIRECTORY KUBERNETES_BINARIES ADDON_BINARIES
set -eu
runtime=$1 state=$2 kubernetes=$3 addons=$4

mount -t proc proc /proc

# A /run of the node's own hides the host's sockets, network namespaces and xtables.lock. It is made aside first, because
# the checkout or the cache may lie below a directory that is hidden next (a build server's home in /var/lib).
run=$runtime/run
mkdir -p "$run"
mount -t tmpfs -o mode=755,size=256m tmpfs "$run"
mkdir -p "$run/${runtime#/run/}" "$run/node/state" "$run/node/kubernetes" "$run/node/addons" "$run/lock"
resolver=$(readlink -f /etc/resolv.conf)
mount --bind "$runtime" "$run/${runtime#/run/}"
mount --bind "$state" "$run/node/state"
mount --bind "$kubernetes" "$run/node/kubernetes"
mount --bind "$addons" "$run/node/addons"
mount --rbind "$run" /run

# /var/lib and /var/log of the node's own: the kubelet, containerd and the CNI library have fixed paths in them.
for directory in lib log; do
    mkdir -p "/run/node/state/var-$directory"
    mount --bind "/run/node/state/var-$directory" "/var/$directory"
done

# Names are looked up through the namespace's own way out (the host's resolver may listen on the host's loopback).
case $resolver in
/run/*) mkdir -p "${resolver%/*}" && cp /run/node/state/config/resolv.conf "$resolver" ;;
*) [ ! -e "$resolver" ] || mount --bind /run/node/state/config/resolv.conf "$resolver" ;;
esac

# The kubelet insists on these values of host-wide sysctls. It is shown them instead of being let loose on the host.
mkdir -p /run/node/sysctl
while read -r name value; do
    [ -e "/proc/sys/$name" ] || continue
    shown=/run/node/sysctl/$(echo "$name" | tr / .)
    echo "$value" >"$shown"
    mount --bind "$shown" "/proc/sys/$name"
done <<END
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
END

# Containers may ask for mount propagation, hence shared; still a slave of the host's mounts.
mount --make-rshared /

# The /proc/sys/net of a network namespace is its own.
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
ip link set lo up

exec /run/node/addons/pause
