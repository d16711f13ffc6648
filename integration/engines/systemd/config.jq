# What `berth spec` leaves to be said for systemd as process 1.

# Without a terminal; the variable is how systemd knows where it is.
.process.terminal = false
| .process.args = ["/sbin/init"]
| .process.env += ["container=oci"]
| .process.noNewPrivileges = false
| .process.rlimits = []
# Docker's set of capabilities is enough.
| (["CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"] | map("CAP_" + .)) as $caps
| .process.capabilities = {bounding: $caps, effective: $caps, permitted: $caps}
| .root = {path: $root, readonly: false}
# A cgroup of its own that it may write, in a namespace that hides the rest.
| .linux.cgroupsPath = $cgroup
| .linux.namespaces = (.linux.namespaces | map(select(.type != "cgroup")) + [{type: "cgroup"}])
| .mounts |= map(select(.destination != "/sys/fs/cgroup"))
| .mounts += [{destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["rw", "nosuid", "noexec", "nodev"]}]
# Memory where it keeps its state.
| .mounts += (["/run", "/run/lock", "/tmp"] | map({destination: ., type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=755"]}))
