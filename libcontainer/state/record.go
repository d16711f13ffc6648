// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/json"
	"time"

	"berth/internal/flatjson"
	"berth/libcontainer/config"
)

// ConfigVersion is the version of Record's layout. A record with a higher one
// is refused: it was written by a newer Berth.
const ConfigVersion = 1

// PhaseCreating is Record.Phase until create has finished. What is found with
// it, and has no create at work, can only be deleted.
const PhaseCreating = "creating"

// Record is state.json: what the verbs after create need, and enough to clean
// up after a create that was killed. Keep it small, every `state` and `kill`
// parses it; what only exec needs belongs to Exec. The names of the first
// fields are runc's, as monitoring tools look for them.
type Record struct {
	ID        string
	InitPid   int
	InitStart uint64 // see procfs.Stat.Start
	// Created is in UTC; it is printed as RFC 3339 with nanoseconds.
	Created       time.Time
	ConfigVersion int
	Phase         string

	OCIVersion  string
	Bundle      string
	Rootfs      string
	Annotations map[string]string

	Rootless     bool
	NoPivot      bool
	NoNewKeyring bool

	// HostMounts: there is no mount namespace, and the config's mounts lie on a
	// bind mount of Rootfs. RootfsMount is the id of the mount that was there
	// before, statx(2).
	HostMounts  bool
	RootfsMount uint64

	// CgroupPaths is the cgroup package's to define. Freezer is the file among
	// them that says whether the container is paused, "" for none.
	CgroupPaths  json.RawMessage
	CgroupDriver string
	DeviceRules  string // cgroup.Devices.Digest
	Freezer      string

	// Namespaces are those that exec joins: type to path, which is "" for those
	// that init made.
	Namespaces map[string]string

	// RDT is the resctrl group, recorded before it is made.
	RDT *config.RDTGroup

	// The hooks that run after create.
	Poststart []config.Hook
	Poststop  []config.Hook

	// ExecCPUAffinity is process.execCPUAffinity of the config.
	ExecCPUAffinity *config.CPUAffinity

	// SeccompPresent says that Exec holds a filter, which exec must apply.
	SeccompPresent bool
}

// fields is the layout of state.json.
func (r *Record) fields() []flatjson.Field {
	return []flatjson.Field{
		{Name: "id", Value: &r.ID, Empty: flatjson.Always},
		{Name: "init_process_pid", Value: &r.InitPid, Empty: flatjson.Always},
		{Name: "init_process_start", Value: &r.InitStart, Empty: flatjson.Always},
		{Name: "created", Value: &r.Created, Empty: flatjson.Always},
		{Name: "config_version", Value: &r.ConfigVersion, Empty: flatjson.Always},
		{Name: "phase", Value: &r.Phase},
		{Name: "oci_version", Value: &r.OCIVersion, Empty: flatjson.Always},
		{Name: "bundle", Value: &r.Bundle, Empty: flatjson.Always},
		{Name: "rootfs", Value: &r.Rootfs, Empty: flatjson.Always},
		{Name: "annotations", Value: &r.Annotations},
		{Name: "rootless", Value: &r.Rootless},
		{Name: "no_pivot", Value: &r.NoPivot},
		{Name: "no_new_keyring", Value: &r.NoNewKeyring},
		{Name: "host_mounts", Value: &r.HostMounts},
		{Name: "rootfs_mount", Value: &r.RootfsMount},
		{Name: "cgroup_paths", Value: &r.CgroupPaths},
		{Name: "cgroup_driver", Value: &r.CgroupDriver},
		{Name: "device_rules", Value: &r.DeviceRules},
		{Name: "freezer", Value: &r.Freezer},
		{Name: "namespaces", Value: &r.Namespaces},
		{Name: "intel_rdt", Value: &r.RDT, Empty: func() bool { return r.RDT == nil }},
		{Name: "poststart", Value: &r.Poststart, Empty: func() bool { return len(r.Poststart) == 0 }},
		{Name: "poststop", Value: &r.Poststop, Empty: func() bool { return len(r.Poststop) == 0 }},
		{Name: "exec_cpu_affinity", Value: &r.ExecCPUAffinity, Empty: func() bool { return r.ExecCPUAffinity == nil }},
		{Name: "seccomp_present", Value: &r.SeccompPresent},
	}
}

// OCIState returns the JSON that hooks get on stdin: exactly the fields of
// runtime-spec runtime.md#state. Pid is left out when it is 0.
func (r *Record) OCIState(status string, pid int) ([]byte, error) {
	return json.Marshal(struct {
		Version     string            `json:"ociVersion"`
		ID          string            `json:"id"`
		Status      string            `json:"status"`
		Pid         int               `json:"pid,omitempty"`
		Bundle      string            `json:"bundle"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}{r.OCIVersion, r.ID, status, pid, r.Bundle, r.Annotations})
}

// Exec is exec.json: the container's own process settings, which exec takes
// where its process says nothing, so that it need not read the bundle, which
// may be gone or rewritten.
type Exec struct {
	// Filter is the compiled seccomp filter, struct sock_filter[], and
	// FilterFlags its flags for seccomp(2).
	Filter      []byte `json:"filter"`
	FilterFlags uint64 `json:"filter_flags"`
	// Listener: the filter has one; it goes to ListenerPath.
	Listener         bool   `json:"listener,omitempty"`
	ListenerPath     string `json:"listener_path,omitempty"`
	ListenerMetadata string `json:"listener_metadata,omitempty"`
}
