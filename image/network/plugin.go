// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxOutput bounds what a plugin may print: a result has some hundred bytes.
const maxOutput = 1 << 20

// findPlugin is the path of a plugin's program.
func findPlugin(dirs []string, name string) (string, error) {
	for _, dir := range dirs {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no CNI plugin %s in %s", name, strings.Join(dirs, ", "))
}

// call is what all executions of plugins for one attachment have in common.
type call struct {
	id, netns string
	dirs      []string
	timeout   time.Duration
	// lease stays open in the plugin: as long as it runs, also after we were
	// killed, nobody undoes what it is doing.
	lease *os.File
}

// environ is CNI specification, section 2, "parameters". Plugins need PATH, for
// iptables.
func (c *call) environ(command string) []string {
	return append(os.Environ(),
		"CNI_COMMAND="+command, "CNI_CONTAINERID="+c.id, "CNI_NETNS="+c.netns, "CNI_IFNAME="+interfaceName,
		"CNI_PATH="+strings.Join(c.dirs, ":"), "CNI_ARGS=")
}

// execute runs a plugin and returns what it prints.
func (c *call) execute(ctx context.Context, command, kind string, stdin []byte) ([]byte, error) {
	fail := func(err error) ([]byte, error) {
		return nil, fmt.Errorf("CNI plugin %s: %s: %w", kind, command, err)
	}
	path, err := findPlugin(c.dirs, kind)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("it was killed after %s", c.timeout))
	defer cancel()
	var stdout, stderr capped
	cmd := exec.CommandContext(ctx, path)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.environ(command), bytes.NewReader(stdin), &stdout, &stderr
	cmd.ExtraFiles = []*os.File{c.lease}
	// A group of its own: the terminal's SIGINT is for us, who undo things, and
	// the plugins that it starts itself, such as host-local, are killed with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second // for who holds its pipes and is in no group of ours
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return stdout, nil
	case ctx.Err() != nil:
		return fail(context.Cause(ctx))
	case errors.As(err, &exit):
		return fail(pluginError(stdout, stderr, err))
	}
	return fail(err)
}

// pluginError is what a plugin says about its failure: CNI specification,
// section 5, "error"; some also fail without.
func pluginError(stdout, stderr []byte, exit error) error {
	var e struct {
		Code    int    `json:"code"`
		Msg     string `json:"msg"`
		Details string `json:"details"`
	}
	if json.Unmarshal(stdout, &e) == nil && e.Msg != "" {
		if e.Details != "" {
			e.Msg += ": " + e.Details
		}
		return fmt.Errorf("%s (code %d)", line([]byte(e.Msg)), e.Code)
	}
	if text := line(append(stderr, stdout...)); text != "" {
		return fmt.Errorf("%w: %s", exit, text)
	}
	return exit
}

// line makes one line of a text, of bounded length and without what a terminal
// would obey.
func line(text []byte) string {
	const most = 500
	words := strings.Fields(strings.ToValidUTF8(string(text[:min(len(text), most)]), "?"))
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.Join(words, " "))
}

// capped keeps what is written to it, and refuses more than maxOutput bytes.
type capped []byte

func (b *capped) Write(p []byte) (int, error) {
	if len(*b)+len(p) > maxOutput {
		return 0, fmt.Errorf("it prints more than %d bytes", maxOutput)
	}
	*b = append(*b, p...)
	return len(p), nil
}

// result is of ADD, as far as we need it: CNI specification, section 5.
type result struct {
	addresses []netip.Prefix
	dns       DNS
}

// parseResult reads a result of any of versions.
func parseResult(raw []byte) (result, error) {
	var wire struct {
		IPs []struct {
			Address   string `json:"address"`
			Interface *int   `json:"interface"`
		} `json:"ips"`
		Interfaces []struct {
			Sandbox string `json:"sandbox"`
		} `json:"interfaces"`
		DNS struct {
			Nameservers []string `json:"nameservers"`
			Search      []string `json:"search"`
			Options     []string `json:"options"`
		} `json:"dns"`
	}
	var r result
	if err := json.Unmarshal(raw, &wire); err != nil {
		return r, err
	}
	for _, ip := range wire.IPs {
		address, err := netip.ParsePrefix(ip.Address)
		if err != nil {
			return r, err
		}
		if i := ip.Interface; i != nil && *i >= 0 && *i < len(wire.Interfaces) && wire.Interfaces[*i].Sandbox == "" {
			continue // the host's
		}
		r.addresses = append(r.addresses, address)
	}
	r.dns = DNS{Servers: wire.DNS.Nameservers, Search: wire.DNS.Search, Options: wire.DNS.Options}
	return r, r.dns.check()
}
