// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"berth/internal/atomicfile"
)

// Attachment is a container's network; Close it.
type Attachment struct {
	call     call
	list     *list
	record   record
	lease    *lease
	started  int  // plugins whose ADD has begun
	pinned   bool // the namespace is ours
	result   result
	ports    []Port
	reserved []*os.File
}

// File is one that is to be mounted, read-only, in the container.
type File struct{ Path, Destination string }

// Connect makes a network namespace for a container and attaches it. If it
// fails, or ctx is done, nothing is left. What a killed owner of the same ID has
// left is undone first.
func Connect(ctx context.Context, id string, o Options) (*Attachment, error) {
	o = o.withDefaults()
	if !identifier.MatchString(id) {
		return nil, fmt.Errorf("network %q: the container's ID %q has characters that CNI does not allow", o.Name, id)
	}
	if err := o.DNS.check(); err != nil {
		return nil, err
	}
	l, err := o.usable()
	if err != nil {
		return nil, err
	}
	a, err := take(o.StateDir, id, true)
	if err != nil {
		return nil, fmt.Errorf("container %q: %w", id, err)
	}
	a.list, a.started = l, 0
	a.call.dirs, a.call.timeout = o.PluginDirs, o.Timeout
	a.ports = slices.Clone(o.Publish)
	if err := a.connect(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("network %q: %w", o.Name, err), a.Close())
	}
	return a, nil
}

func (a *Attachment) connect(ctx context.Context, o Options) error {
	for i := range a.ports {
		f, err := a.ports[i].reserve()
		if err != nil {
			return err
		}
		a.reserved = append(a.reserved, f)
	}
	a.record = record{List: a.list.raw, PluginDirs: o.PluginDirs, Ports: mappings(a.ports)}
	if err := a.lease.write(&a.record); err != nil { // before there is anything
		return err
	}
	if err := pin(a.call.netns); err != nil {
		return err
	}
	a.pinned = true
	for _, p := range a.list.plugins {
		if err := a.add(ctx, p); err != nil {
			return err
		}
	}
	if err := a.lease.write(&a.record); err != nil {
		return err
	}
	for _, p := range a.ports {
		if p.HostIP.IsValid() && !slices.ContainsFunc(a.result.addresses, func(n netip.Prefix) bool { return n.Addr().Is4() == p.HostIP.Is4() }) {
			return fmt.Errorf("port %s: the container has no address of this family", p)
		}
	}
	return a.writeFiles(o)
}

// add runs a plugin's ADD, and takes its result for that of the list so far.
func (a *Attachment) add(ctx context.Context, p plugin) error {
	request, err := a.list.request(p, a.record.Ports, a.record.Result)
	if err != nil {
		return err
	}
	a.started++
	raw, err := a.call.execute(ctx, "ADD", p.kind, request)
	if err != nil {
		return err
	}
	if a.result, err = parseResult(raw); err != nil {
		return fmt.Errorf("CNI plugin %s: ADD: its result: %w", p.kind, err)
	}
	a.record.Result = json.RawMessage(raw)
	return nil
}

func (a *Attachment) writeFiles(o Options) error {
	host, err := hostDNS()
	if err != nil {
		return err
	}
	name := o.Hostname
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return err
		}
	}
	names := slices.Compact([]string{name, a.call.id})
	for name, data := range map[string][]byte{
		resolvConfName: o.DNS.or(a.result.dns).or(host).resolvConf(),
		hostsName:      hosts(a.result.addresses, names...),
	} {
		if err := atomicfile.WriteAt(a.lease.dir, name, data, 0o644); err != nil {
			return err
		}
		// Whatever the umask is: the container's users read it.
		if err := unix.Fchmodat(int(a.lease.dir.Fd()), name, 0o644, 0); err != nil {
			return fmt.Errorf("fchmodat %s: %w", name, err)
		}
	}
	return nil
}

// Path is the network namespace.
func (a *Attachment) Path() string { return a.call.netns }

// Addresses are the container's.
func (a *Attachment) Addresses() []netip.Prefix { return slices.Clone(a.result.addresses) }

// Ports are those published, with the host's ports that were chosen.
func (a *Attachment) Ports() []Port { return slices.Clone(a.ports) }

// Files are resolv.conf, which has the name servers of the options, else of the
// network, else of the host; and hosts. They are there until Close.
func (a *Attachment) Files() []File {
	return []File{
		{filepath.Join(a.lease.dir.Name(), resolvConfName), "/etc/resolv.conf"},
		{filepath.Join(a.lease.dir.Name(), hostsName), "/etc/hosts"},
	}
}

// Close lets the plugins undo what they have done, in the reverse order, and
// removes the namespace. It may be called again. If a plugin fails, the others
// are run all the same, and what remains is left to Sweep.
func (a *Attachment) Close() error {
	if a.lease == nil {
		return nil
	}
	var errs []error
	// What was begun is undone also when the program is to end; each plugin has
	// its time limit.
	ctx := context.Background()
	for _, p := range slices.Backward(a.plugins()) {
		errs = append(errs, a.del(ctx, p))
	}
	if a.pinned {
		errs = append(errs, unpin(a.call.netns))
	}
	for _, f := range a.reserved {
		_ = f.Close() // nothing is in it
	}
	err := errors.Join(errs...)
	if err == nil {
		err = a.lease.remove()
	} else {
		err = fmt.Errorf("%w (hint: berth-image gc tries again; %s says what is left)", err, a.lease.dir.Name())
		a.lease.close()
	}
	a.lease = nil
	return err
}

// plugins are those to be undone: also the one that has failed, since only it
// knows what it has left.
func (a *Attachment) plugins() []plugin {
	if a.list == nil {
		return nil
	}
	return a.list.plugins[:a.started]
}

func (a *Attachment) del(ctx context.Context, p plugin) error {
	request, err := a.list.request(p, a.record.Ports, a.record.Result)
	if err != nil {
		return err
	}
	c := a.call
	if !pinned(c.netns) {
		c.netns = "" // CNI specification, section 2: DEL works without
	}
	_, err = c.execute(ctx, "DEL", p.kind, request)
	return err
}

// take gets the lease of a container, and undoes what its last owner has left.
func take(stateDir, id string, create bool) (*Attachment, error) {
	l, err := takeLease(stateDir, id, create)
	if err != nil {
		return nil, err
	}
	a := &Attachment{lease: l, call: call{id: id, netns: namespacePath(id), timeout: DefaultTimeout, lease: l.dir}}
	r, err := l.read()
	if err == nil && r != nil {
		a.record, a.pinned, a.call.dirs = *r, true, r.PluginDirs
		if a.list, err = parseList(r.List); err == nil {
			a.started = len(a.list.plugins) // perhaps: DEL of what was never added is no error
		}
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("%w (hint: remove %s)", err, l.dir.Name())
	}
	if !create || r == nil {
		return a, nil
	}
	if err := a.Close(); err != nil {
		return nil, err
	}
	return take(stateDir, id, create)
}

// Disconnect undoes what a killed owner has left. That there is nothing, or that
// the owner is alive, is no error.
func Disconnect(id, stateDir string) error {
	a, err := take(stateDir, id, false)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, errBusy):
		return nil
	case err != nil:
		return fmt.Errorf("network of %q: %w", id, err)
	}
	if err := a.Close(); err != nil {
		return fmt.Errorf("network of %q: %w", id, err)
	}
	return nil
}

// Sweep is Disconnect for all whose owners were killed; "" is DefaultStateDir.
func Sweep(ctx context.Context, stateDir string) error {
	if os.Geteuid() != 0 {
		return nil // nobody but root has networks
	}
	if stateDir == "" {
		stateDir = DefaultStateDir
	}
	entries, err := os.ReadDir(leasesDir(stateDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, Disconnect(e.Name(), stateDir))
	}
	return errors.Join(errs...)
}
