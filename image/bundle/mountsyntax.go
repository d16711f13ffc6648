// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"encoding/csv"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
)

// The types of mounts.
const (
	TypeBind   = "bind"   // of a file or directory of the host
	TypeVolume = "volume" // a directory that the caller keeps under a name
	TypeTmpfs  = "tmpfs"
)

// Mount is a mount that the user asks for.
type Mount struct {
	Type string
	// Source is an absolute path on the host, or a volume's name, "" for a new
	// one. The caller makes a bind mount of a volume before Spec.
	Source string
	// Destination is a clean absolute path in the container.
	Destination string
	// Options are words of config.md, "Linux mount options".
	Options []string
	// Relabel: the files shall get the container's SELinux label (z, Z).
	Relabel bool
	// NoCopy: a new volume stays empty, whatever the image has there.
	NoCopy bool
}

// propagations are the words for how later mounts spread.
var propagations = []string{"private", "rprivate", "shared", "rshared", "slave", "rslave"}

// bindFlags are the other words after docker's or podman's -v that are mount
// options.
var bindFlags = []string{"ro", "rw", "rro", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "noatime", "relatime", "nosymfollow"}

// ParseVolume reads -v: [SOURCE:]DESTINATION[:OPTION,…]. A SOURCE with a slash is
// a path on the host, any other one the name of a volume.
func ParseVolume(s string) (Mount, error) {
	m, err := parseVolume(s)
	if err != nil {
		return Mount{}, fmt.Errorf("volume %q: %w", s, err)
	}
	return m, nil
}

func parseVolume(s string) (Mount, error) {
	parts := strings.Split(s, ":")
	if len(parts) == 1 {
		parts = []string{"", s}
	}
	if len(parts) > 3 {
		return Mount{}, errors.New("want [SOURCE:]DESTINATION[:OPTIONS]")
	}
	if len(parts) == 3 && parts[2] == "" {
		return Mount{}, errors.New("there is a colon, and no options after it")
	}
	source, destination := parts[0], parts[1]
	m, err := newMount(typeOf(source), source, destination)
	if err != nil {
		return Mount{}, err
	}
	recursion, propagation := "rbind", "rprivate"
	var flags []string
	for option := range strings.SplitSeq(strings.Join(parts[2:], ""), ",") {
		switch {
		case option == "" || option == "cached" || option == "delegated" || option == "consistent":
		case option == "bind" || option == "rbind":
			recursion = option
		case slices.Contains(propagations, option):
			propagation = option
		case slices.Contains(bindFlags, option):
			flags = append(flags, option)
		case option == "z" || option == "Z":
			m.Relabel = true
		case option == "nocopy" && m.Type == TypeVolume:
			m.NoCopy = true
		default:
			return Mount{}, fmt.Errorf("unknown option %q", option)
		}
	}
	if slices.Contains(flags, "ro") && slices.Contains(flags, "rw") {
		return Mount{}, errors.New("ro and rw exclude each other")
	}
	m.Options = append([]string{recursion, propagation}, flags...)
	return m, nil
}

func typeOf(source string) string {
	if strings.Contains(source, "/") {
		return TypeBind
	}
	return TypeVolume
}

// newMount checks and cleans the paths.
func newMount(kind, source, destination string) (Mount, error) {
	m := Mount{Type: kind, Source: source, Destination: destination}
	if destination == "" {
		return m, errors.New("there is no destination")
	}
	if kind == TypeVolume && source != "" && !isVolumeName(source) {
		return m, fmt.Errorf("%q is no name of a volume: letters, digits, and after the first also _ . - (hint: a path needs a slash)", source)
	}
	if err := m.check(); err != nil {
		return m, err
	}
	m.Destination = path.Clean(destination)
	return m, m.check()
}

// isVolumeName: docker's [a-zA-Z0-9][a-zA-Z0-9_.-]*; it becomes a file's name.
func isVolumeName(s string) bool {
	const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return len(s) <= 255 && strings.Contains(alphanumeric, s[:1]) && strings.Trim(s, alphanumeric+"_.-") == ""
}

// MountKeys are the keys that ParseMount knows, for people.
const MountKeys = "type (bind, volume, tmpfs), source, destination, readonly, bind-propagation, bind-recursive, bind-nonrecursive, volume-nocopy, tmpfs-size, tmpfs-mode"

// ParseMount reads --mount: type=bind|volume|tmpfs,source=…,destination=…,…
// in CSV, as docker has it.
func ParseMount(s string) (Mount, error) {
	m, err := parseMount(s)
	if err != nil {
		return Mount{}, fmt.Errorf("mount %q: %w", s, err)
	}
	return m, nil
}

// mountFields are the keys of --mount, with the types that they are for.
type mountFields struct {
	kind, source, destination string
	readonly, nonrecursive    bool
	recursive, propagation    string
	nocopy                    bool
	size, mode                string
}

func parseMount(s string) (Mount, error) {
	reader := csv.NewReader(strings.NewReader(s))
	fields, err := reader.Read()
	if err != nil {
		return Mount{}, errors.New("want KEY=VALUE,… (hint: keys are " + MountKeys + ")")
	}
	f := mountFields{kind: TypeVolume}
	var keys []string
	for _, field := range fields {
		key, value, given := strings.Cut(field, "=")
		key = strings.ToLower(key)
		if err := f.set(key, value, given); err != nil {
			return Mount{}, err
		}
		keys = append(keys, key)
	}
	for _, key := range keys {
		kind, _, _ := strings.Cut(key, "-")
		if isType := kind == TypeBind || kind == TypeVolume || kind == TypeTmpfs; isType && kind != f.kind {
			return Mount{}, fmt.Errorf("%s is not for the type %s", key, f.kind)
		}
	}
	return f.mount()
}

func (f *mountFields) set(key, value string, given bool) error {
	switch key {
	case "type":
		f.kind = strings.ToLower(value)
	case "source", "src":
		f.source = value
	case "destination", "dst", "target":
		f.destination = value
	case "readonly", "ro":
		return setBool(&f.readonly, key, value, given)
	case "consistency": // only macOS knows
	case "bind-propagation":
		f.propagation = value
	case "bind-nonrecursive":
		return setBool(&f.nonrecursive, key, value, given)
	case "bind-recursive":
		f.recursive = value
	case "volume-nocopy":
		return setBool(&f.nocopy, key, value, given)
	case "tmpfs-size":
		f.size = value
	case "tmpfs-mode":
		f.mode = value
	default:
		return fmt.Errorf("unknown key %q (hint: there are %s)", key, MountKeys)
	}
	if !given || value == "" {
		return fmt.Errorf("%s needs a value", key)
	}
	return nil
}

func setBool(to *bool, key, value string, given bool) error {
	*to = true
	if !given {
		return nil
	}
	v, err := strconv.ParseBool(value)
	if err != nil {
		return fmt.Errorf("%s=%q: want true or false", key, value)
	}
	*to = v
	return nil
}

func (f *mountFields) mount() (Mount, error) {
	if f.kind == TypeTmpfs && f.source != "" {
		return Mount{}, errors.New("a tmpfs has no source")
	}
	m, err := newMount(f.kind, f.source, f.destination)
	if err != nil {
		return Mount{}, err
	}
	m.NoCopy = f.nocopy
	if m.Type == TypeTmpfs {
		m.Options, err = f.tmpfsOptions()
	} else {
		m.Options, err = f.bindOptions()
	}
	return m, err
}

func (f *mountFields) bindOptions() ([]string, error) {
	recursion, propagation := "rbind", "rprivate"
	var access []string
	if f.readonly {
		access = []string{"ro"}
	}
	if f.propagation != "" {
		if !slices.Contains(propagations, f.propagation) {
			return nil, fmt.Errorf("bind-propagation=%s: want one of %s", f.propagation, strings.Join(propagations, ", "))
		}
		propagation = f.propagation
	}
	switch {
	case f.nonrecursive || f.recursive == "disabled":
		recursion = "bind"
	case f.recursive == "" || f.recursive == "enabled" || f.recursive == "writable":
	case f.recursive == "readonly" && f.readonly:
		access = []string{"ro", "rro"}
	case f.recursive == "readonly":
		return nil, errors.New("bind-recursive=readonly needs readonly")
	default:
		return nil, fmt.Errorf("bind-recursive=%s: want enabled, disabled, writable or readonly", f.recursive)
	}
	return append([]string{recursion, propagation}, access...), nil
}

func (f *mountFields) tmpfsOptions() ([]string, error) {
	options := []string{"noexec", "nosuid", "nodev"}
	if f.readonly {
		options = append(options, "ro")
	}
	if f.size != "" {
		n, err := units.RAMInBytes(f.size)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("tmpfs-size=%s: want a size such as 64m", f.size)
		}
		options = append(options, "size="+strconv.FormatInt(n, 10))
	}
	if f.mode != "" {
		mode, err := strconv.ParseUint(f.mode, 8, 12)
		if err != nil {
			return nil, fmt.Errorf("tmpfs-mode=%s: want an octal mode", f.mode)
		}
		options = append(options, fmt.Sprintf("mode=%o", mode))
	}
	return options, nil
}

// ParseTmpfs reads --tmpfs: DESTINATION[:OPTION,…], with the options of tmpfs(5)
// and of mount(8). It is noexec, nosuid and nodev unless they say otherwise.
func ParseTmpfs(s string) (Mount, error) {
	destination, options, _ := strings.Cut(s, ":")
	m, err := newMount(TypeTmpfs, "", destination)
	if err != nil {
		return Mount{}, fmt.Errorf("tmpfs %q: %w", s, err)
	}
	given := strings.FieldsFunc(options, func(r rune) bool { return r == ',' })
	for _, flag := range []string{"exec", "suid", "dev"} {
		if !slices.Contains(given, flag) && !slices.Contains(given, "no"+flag) {
			m.Options = append(m.Options, "no"+flag)
		}
	}
	for _, option := range given {
		key, _, hasValue := strings.Cut(option, "=")
		if hasValue && !slices.Contains([]string{"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "huge", "mpol"}, key) ||
			!hasValue && !slices.Contains(bindFlags, option) && option != "tmpcopyup" {
			return Mount{}, fmt.Errorf("tmpfs %q: unknown option %q", s, option)
		}
		m.Options = append(m.Options, option)
	}
	return m, nil
}
