// SPDX-License-Identifier: Apache-2.0

package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// versions are those whose results have the same ips and dns; CNI specification,
// section 5.
var versions = []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}

// identifier is a container ID, a network's name, or with nothing else a safe
// name of a file; CNI specification, sections 1 and 2.
var identifier = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)

// list is a network: plugins that are executed one after another; CNI
// specification, section 1.
type list struct {
	version, name string
	plugins       []plugin
	raw           json.RawMessage
}

// plugin is one of a list.
type plugin struct {
	kind, ipam   string // "type" of itself and of the one that it asks for addresses
	capabilities map[string]bool
	fields       map[string]json.RawMessage
}

// parseList reads a network configuration.
func parseList(raw []byte) (*list, error) {
	var top struct {
		CNIVersion string                       `json:"cniVersion"`
		Name       string                       `json:"name"`
		Plugins    []map[string]json.RawMessage `json:"plugins"`
	}
	if err := json.Unmarshal(raw, &top); err != nil {
		return nil, err
	}
	switch {
	case !slices.Contains(versions, top.CNIVersion):
		return nil, fmt.Errorf("cniVersion %q: there are %s", top.CNIVersion, strings.Join(versions, ", "))
	case !identifier.MatchString(top.Name):
		return nil, fmt.Errorf("name %q: want letters, digits, and after the first also -, _ and dots", top.Name)
	case len(top.Plugins) == 0:
		return nil, errors.New("plugins: there are none")
	}
	l := &list{version: top.CNIVersion, name: top.Name, raw: raw}
	for i, fields := range top.Plugins {
		p, err := parsePlugin(fields)
		if err != nil {
			return nil, fmt.Errorf("plugins[%d]: %w", i, err)
		}
		l.plugins = append(l.plugins, p)
	}
	return l, nil
}

func parsePlugin(fields map[string]json.RawMessage) (plugin, error) {
	p := plugin{fields: fields}
	var ipam struct {
		Type string `json:"type"`
	}
	for _, f := range []struct {
		name string
		into any
	}{{"type", &p.kind}, {"capabilities", &p.capabilities}, {"ipam", &ipam}} {
		if raw := fields[f.name]; raw != nil {
			if err := json.Unmarshal(raw, f.into); err != nil {
				return p, fmt.Errorf("%s: %w", f.name, err)
			}
		}
	}
	p.ipam = ipam.Type
	if !identifier.MatchString(p.kind) || p.ipam != "" && !identifier.MatchString(p.ipam) {
		return p, fmt.Errorf("type %q, ipam.type %q: no names of programs", p.kind, p.ipam)
	}
	return p, nil
}

// types are all plugins that have to be installed.
func (l *list) types() []string {
	var names []string
	for _, p := range l.plugins {
		names = append(names, p.kind)
		if p.ipam != "" {
			names = append(names, p.ipam)
		}
	}
	return names
}

// request is what a plugin reads: its part of the list, with the list's name
// and version, its capabilities' arguments, and what was there before it; CNI
// specification, section 3, "deriving execution configuration".
func (l *list) request(p plugin, ports []portMapping, prevResult json.RawMessage) ([]byte, error) {
	fields := maps.Clone(p.fields)
	delete(fields, "capabilities")
	delete(fields, "prevResult")
	delete(fields, "runtimeConfig")
	values := map[string]any{"cniVersion": l.version, "name": l.name}
	if len(ports) > 0 && p.capabilities[portMappings] {
		values["runtimeConfig"] = map[string]any{portMappings: ports}
	}
	if prevResult != nil {
		values["prevResult"] = prevResult
	}
	for name, v := range values {
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		fields[name] = raw
	}
	return json.Marshal(fields)
}

// load is the list of the network that the options name.
func (o Options) load() (*list, error) {
	if o.Name == Bridge {
		return o.builtIn()
	}
	entries, err := os.ReadDir(o.ConfDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("network %q: %w", o.Name, err)
	}
	names := []string{Bridge}
	var broken error
	for _, e := range entries { // in the order of their names
		if filepath.Ext(e.Name()) != ".conflist" {
			continue
		}
		path := filepath.Join(o.ConfDir, e.Name())
		raw, err := os.ReadFile(path)
		if err != nil {
			broken = err
			continue
		}
		l, err := parseList(raw)
		switch {
		case err != nil:
			broken = fmt.Errorf("%s: %w", path, err)
		case l.name == o.Name:
			return l, nil
		default:
			names = append(names, l.name)
		}
	}
	if broken != nil {
		return nil, fmt.Errorf("network %q: not in %s, where one could not be read: %w", o.Name, o.ConfDir, broken)
	}
	return nil, fmt.Errorf("network %q: not in %s (hint: there are %s, host and none)", o.Name, o.ConfDir, strings.Join(names, ", "))
}

// builtIn is the network called bridge. Version 0.4.0 has all that it needs,
// and plugins speak it since 2018. Ports are published, and a firewall that
// forwards nothing is told of the container, where there are plugins for it.
func (o Options) builtIn() (*list, error) {
	type object = map[string]any
	plugins := []object{{
		"type": "bridge", "bridge": "berth0", "isDefaultGateway": true, "ipMasq": true, "hairpinMode": true,
		"ipam": object{
			"type": "host-local", "dataDir": filepath.Join(o.StateDir, "addresses"),
			"ranges": [][]object{{{"subnet": "10.89.0.0/16"}}},
		},
	}}
	for _, optional := range []object{
		{"type": "portmap", "capabilities": object{portMappings: true}},
		{"type": "firewall"},
	} {
		_, err := findPlugin(o.PluginDirs, optional["type"].(string))
		if err == nil || optional["type"] == "portmap" && len(o.Publish) > 0 { // Connect says that it is missing
			plugins = append(plugins, optional)
		}
	}
	raw, err := json.Marshal(object{"cniVersion": "0.4.0", "name": "berth", "plugins": plugins})
	if err != nil {
		return nil, err
	}
	return parseList(raw)
}
