// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/json"
	"time"

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
	ID        string `json:"id"`
	InitPid   int    `json:"init_process_pid"`
	InitStart uint64 `json:"init_process_start"` // see procfs.Stat.Start
	// Created is in UTC; it is printed as RFC 3339 with nanoseconds.
	Created       time.Time `json:"created"`
	ConfigVersion int       `json:"config_version"`
	Phase         string    `json:"phase,omitempty"`

	OCIVersion  string            `json:"oci_version"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Annotations map[string]string `json:"annotations,omitempty"`

	Rootless     bool `json:"rootless,omitempty"`
	NoPivot      bool `json:"no_pivot,omitempty"`
	NoNewKeyring bool `json:"no_new_keyring,omitempty"`

	// HostMounts: there is no mount namespace, and the config's mounts lie on a
	// bind mount of Rootfs. RootfsMount is the id of the mount that was there
	// before, statx(2).
	HostMounts  bool   `json:"host_mounts,omitempty"`
	RootfsMount uint64 `json:"rootfs_mount,omitempty"`

	// CgroupPaths is the cgroup package's to define.
	CgroupPaths  json.RawMessage `json:"cgroup_paths,omitempty"`
	CgroupDriver string          `json:"cgroup_driver,omitempty"`

	// Namespaces are those that exec joins; Path is "" for those that init made.
	Namespaces []Namespace `json:"namespaces,omitempty"`
	// UserNSMappings are those of the container's user namespace.
	UserNSMappings *Mappings `json:"userns_mappings,omitempty"`

	// ExternalDescriptors are what init's 0, 1 and 2 were, for checkpoint.
	ExternalDescriptors []string           `json:"external_descriptors,omitempty"`
	NetDevices          []config.NetDevice `json:"net_devices,omitempty"`

	// RDT is the resctrl group, recorded before it is made.
	RDT *config.RDTGroup `json:"intel_rdt,omitempty"`

	// The hooks that run after create.
	Poststart []config.Hook `json:"poststart,omitempty"`
	Poststop  []config.Hook `json:"poststop,omitempty"`

	// SeccompPresent says that Exec holds a filter, which exec must apply.
	SeccompPresent bool `json:"seccomp_present,omitempty"`
}

// Namespace is one namespace of the container.
type Namespace struct {
	Type string `json:"type"`
	Path string `json:"path,omitempty"`
}

// NamespaceTypes returns the types of the container's namespaces.
func (r *Record) NamespaceTypes() []config.NamespaceType {
	types := make([]config.NamespaceType, len(r.Namespaces))
	for i, ns := range r.Namespaces {
		types[i] = config.NamespaceType(ns.Type)
	}
	return types
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

// Mappings are the id maps of a user namespace.
type Mappings struct {
	UID []config.IDMap `json:"uid"`
	GID []config.IDMap `json:"gid"`
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
