// SPDX-License-Identifier: Apache-2.0

package config

// RDTGroup is the resctrl group that IntelRDT comes to on a host, and the
// monitoring group in it: what package rdt plans, makes and removes, and the
// state records.
type RDTGroup struct {
	// Path is the group's directory.
	Path string `json:"path"`
	// Create: the directory is missing, and is to be made.
	Create bool `json:"create,omitempty"`
	// Own: it is named after the container, as there is no closID; then it is
	// removed with the container. runtime-spec config-linux.md#intelrdt.
	Own bool `json:"own,omitempty"`
	// MonPath is the container's monitoring group, which is made and removed
	// with it; "" for none.
	MonPath string `json:"mon_path,omitempty"`
	// Schemata are the lines to write, in order. They are not recorded.
	Schemata []string `json:"-"`
}
