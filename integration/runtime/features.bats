#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

features() { [[ -e $T/features ]] || rt features >"$T/features"; jq "$@" "$T/features"; }

@test "features: needs neither root nor HOME nor a state root" {
	lacks crun 1.9 "came with 1.9"
	env -i setpriv --reuid berth-it --regid berth-it --clear-groups "$RUNTIME" features </dev/null | jq -e .ociVersionMin
}

@test "features: the six hooks" {
	lacks crun 1.9 "came with 1.9"
	features -e '.hooks == ["prestart","createRuntime","createContainer","startContainer","poststart","poststop"]'
}

@test "features: mount options are sorted and have those engines look for" {
	lacks crun 1.9 "came with 1.9"
	features -e '.mountOptions == (.mountOptions | sort)'
	features -e '.mountOptions | contains(["bind","rbind","ro","rro","tmpcopyup","nosuid","private","rslave","rnosuid"])'
}

@test "features: namespaces and capabilities" {
	lacks crun 1.9 "came with 1.9"
	features -e '.linux.namespaces | contains(["cgroup","ipc","mount","network","pid","user","uts"])'
	features -e '.linux.capabilities | contains(["CAP_SYS_ADMIN","CAP_CHECKPOINT_RESTORE","CAP_BPF"])'
}

@test "features: time namespace, cgroups, seccomp" {
	lacks crun 1.9 "came with 1.9"
	lacks runc 1.2 "no time namespaces before"
	features -e '.linux.namespaces | index("time") != null'
	features -e '.linux.cgroup | .v1 and .v2'
	features -e '.linux.seccomp.enabled and (.linux.seccomp.actions | contains(["SCMP_ACT_ALLOW","SCMP_ACT_ERRNO","SCMP_ACT_NOTIFY"]))'
	features -e '.linux.mountExtensions.idmap.enabled == true'
}

@test "features: seccomp" {
	lacks crun 1.9 "came with 1.9"
	features -e '.linux.seccomp | .enabled and (.actions | contains(["SCMP_ACT_ALLOW","SCMP_ACT_ERRNO"]))
		and (.operators | contains(["SCMP_CMP_EQ","SCMP_CMP_MASKED_EQ"]))
		and (.archs | contains(["SCMP_ARCH_X86_64","SCMP_ARCH_AARCH64"]))'
}

@test "features: what runc lists since 1.3" {
	lacks crun 1.9 "came with 1.9"
	lacks runc 1.3 "came later"
	features -e '.ociVersionMax | test("^1\\.[2-9]")'
	features -e '.linux.netDevices.enabled == true and .linux.intelRdt.enabled == true'
	features -e '(.potentiallyUnsafeConfigAnnotations // []) | type == "array"'
	features -e '.linux.cgroup.rdma == true'
}

@test "features: every flag word of Berth's own" {
	needs_berth "runc leaves idmap out of the list"
	features -e '.mountOptions | contains(["idmap","ridmap","nosymfollow","rnosymfollow"])'
	features -e '.linux.memoryPolicy.modes | length > 4'
	features -e '.linux.namespaces | length == 8'
}
