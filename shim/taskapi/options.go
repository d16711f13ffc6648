// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	runtimeoptions "github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"berth/internal/atomicfile"
	"berth/shim/ociruntime"
	"berth/shim/supervise"
)

// optionsFile keeps the options of a container in its bundle, for `delete`.
const optionsFile = "berth-options.pb"

// decodeOptions reads the options of a create: runc's message, which containerd
// sends for the runtime type of runc, or the generic one, whose body is TOML
// with the names that containerd's configuration has for runc.
func decodeOptions(a *anypb.Any) (*runcoptions.Options, error) {
	o := &runcoptions.Options{}
	if a == nil || len(a.Value) == 0 && a.TypeUrl == "" {
		return o, nil
	}
	name := a.TypeUrl[strings.LastIndexByte(a.TypeUrl, '/')+1:]
	switch name {
	case string(o.ProtoReflect().Descriptor().FullName()):
		if err := proto.Unmarshal(a.Value, o); err != nil {
			return nil, fmt.Errorf("options: %w: %w", err, errInvalid)
		}
		return o, nil
	case "containerd.linux.runc.CreateOptions":
		return o, parseCreateOptions(a.Value, o)
	case "runtimeoptions.v1.Options", "cri.runtimeoptions.v1alpha1.Options":
		var generic runtimeoptions.Options
		if err := proto.Unmarshal(a.Value, &generic); err != nil {
			return nil, fmt.Errorf("options: %w: %w", err, errInvalid)
		}
		body := generic.ConfigBody
		if len(body) == 0 && generic.ConfigPath != "" {
			var err error
			if body, err = os.ReadFile(generic.ConfigPath); err != nil {
				return nil, fmt.Errorf("options: %w", err)
			}
		}
		return o, parseBody(body, o)
	}
	return nil, fmt.Errorf("options of type %q are not known: %w", a.TypeUrl, errInvalid)
}

// parseCreateOptions reads what containerd 1.x's client sends to a runtime that is
// not called runc, as for `ctr run --uidmap`: the options of a time before shims.
// What they have beside this is for checkpoints.
func parseCreateOptions(data []byte, o *runcoptions.Options) error {
	for len(data) > 0 {
		field, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("options: %w: %w", protowire.ParseError(n), errInvalid)
		}
		data = data[n:]
		var number uint64
		var text []byte
		switch kind {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(data)
		case protowire.BytesType:
			text, n = protowire.ConsumeBytes(data)
		default:
			n = protowire.ConsumeFieldValue(field, kind, data)
		}
		if n < 0 {
			return fmt.Errorf("options: %w: %w", protowire.ParseError(n), errInvalid)
		}
		data = data[n:]
		switch field {
		case 1:
			o.NoPivotRoot = number != 0
		case 8:
			o.NoNewKeyring = number != 0
		case 9:
			o.ShimCgroup = string(text)
		case 10:
			o.IoUid = uint32(number)
		case 11:
			o.IoGid = uint32(number)
		}
	}
	return nil
}

// parseBody reads "Name = value" lines, the part of TOML that containerd writes
// for a runtime's flat table of options. Names that are not ours are ignored.
func parseBody(body []byte, o *runcoptions.Options) error {
	texts := map[string]*string{
		"BinaryName": &o.BinaryName, "Root": &o.Root, "ShimCgroup": &o.ShimCgroup,
		"CriuImagePath": &o.CriuImagePath, "CriuWorkPath": &o.CriuWorkPath,
	}
	toggles := map[string]*bool{"SystemdCgroup": &o.SystemdCgroup, "NoPivotRoot": &o.NoPivotRoot, "NoNewKeyring": &o.NoNewKeyring}
	numbers := map[string]*uint32{"IoUid": &o.IoUid, "IoGid": &o.IoGid}
	for line := range bytes.Lines(body) {
		name, value, ok := strings.Cut(string(line), "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		var err error
		switch {
		case texts[name] != nil:
			*texts[name], err = unquote(value)
		case toggles[name] != nil:
			*toggles[name], err = strconv.ParseBool(value)
		case numbers[name] != nil:
			var n uint64
			n, err = strconv.ParseUint(value, 0, 32)
			*numbers[name] = uint32(n)
		}
		if err != nil {
			return fmt.Errorf("option %s = %s: %w: %w", name, value, err, errInvalid)
		}
	}
	return nil
}

// unquote takes a basic or a literal string of TOML.
func unquote(s string) (string, error) {
	if len(s) >= 2 && s[0] == '\'' && s[len(s)-1] == '\'' {
		return s[1 : len(s)-1], nil
	}
	return strconv.Unquote(s)
}

func saveOptions(bundle string, o *runcoptions.Options) error {
	data, err := proto.Marshal(o)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(bundle, optionsFile), data, 0o600)
}

// loadOptions returns the defaults for a bundle that has none.
func loadOptions(bundle string) (*runcoptions.Options, error) {
	o := &runcoptions.Options{}
	data, err := os.ReadFile(filepath.Join(bundle, optionsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err != nil {
		return o, err
	}
	return o, proto.Unmarshal(data, o)
}

// stateRoot is where the runtime keeps the containers of a namespace: berth
// --root DIR lists them.
func stateRoot(o *runcoptions.Options, namespace string) string {
	root := o.Root
	if root == "" {
		root = "/run/containerd/berth"
	}
	return filepath.Join(root, namespace)
}

// isOurs says that a container is libcontainer's: no binary is named, or it is
// called berth.
func isOurs(binary string) bool {
	return binary == "" || filepath.Base(binary) == "berth"
}

// newRuntime is libcontainer in this process, or another runtime's binary.
func newRuntime(id, namespace, bundle string, o *runcoptions.Options, warn func(error)) supervise.Runtime {
	r := ociruntime.Options{
		ID: id, Bundle: bundle, Root: stateRoot(o, namespace), SystemdCgroup: o.SystemdCgroup,
		NoPivot: o.NoPivotRoot, NoNewKeyring: o.NoNewKeyring, Rootless: os.Geteuid() != 0, Warn: warn,
	}
	if isOurs(o.BinaryName) {
		return ociruntime.NewBerth(r)
	}
	return ociruntime.NewCommand(o.BinaryName, r)
}
