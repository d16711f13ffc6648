// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer"
	"berth/libcontainer/config"
	"berth/specconv"
)

// execCommand is `exec`.
type execCommand struct {
	consoleSocket string
	pidfdSocket   string
	cwd           string
	env           []string
	tty           bool
	user          string
	gids          []string
	process       string
	detach        bool
	pidFile       string
	processLabel  string
	apparmor      string
	noNewPrivs    string // "": as the config says
	caps          []string
	preserveFDs   int
	cgroups       []string
	ignorePaused  bool
	noSubreaper   bool
}

func (c *execCommand) flags() []flag {
	return []flag{
		text(&c.consoleSocket, "PATH", "AF_UNIX socket that gets the terminal's master", "console-socket"),
		text(&c.pidfdSocket, "PATH", "AF_UNIX socket that gets a pidfd of the process", "pidfd-socket"),
		text(&c.cwd, "DIR", "working directory in the container", "cwd"),
		list(&c.env, "NAME=VALUE", "add to the environment", "env", "e"),
		toggle(&c.tty, "allocate a terminal", "tty", "t"),
		text(&c.user, "UID[:GID]", "user and group, as numbers", "user", "u"),
		list(&c.gids, "GID", "additional group", "additional-gids", "g"),
		text(&c.process, "FILE", "process.json that says all about the process", "process", "p"),
		toggle(&c.detach, "return once the process runs", "detach", "d"),
		text(&c.pidFile, "PATH", "file that the process's pid is written to", "pid-file"),
		text(&c.processLabel, "LABEL", "SELinux label", "process-label"),
		text(&c.apparmor, "PROFILE", "AppArmor profile", "apparmor"),
		{names: []string{"no-new-privs"}, usage: "set no_new_privs", set: func(s string) error {
			b, err := parseBool(s)
			c.noNewPrivs = strconv.FormatBool(b)
			return err
		}},
		list(&c.caps, "CAP", "add a capability", "cap", "c"),
		count(&c.preserveFDs, "pass on N descriptors more, after stdio and $LISTEN_FDS", "preserve-fds"),
		list(&c.cgroups, "[CONTROLLER[,CONTROLLER]:]PATH", "existing cgroup below the container's", "cgroup"),
		toggle(&c.ignorePaused, "allow it in a paused container", "ignore-paused"),
		hide(toggle(&c.noSubreaper, "changes nothing: exec is never a subreaper", "no-subreaper")),
	}
}

// execFailed is the exit status by which engines tell a failure of ours from
// one of the process.
const execFailed = 255

func (c *execCommand) run(e *env, args []string) (int, error) {
	status, err := c.launch(e, args[0], args[1:])
	if err != nil {
		return execFailed, fmt.Errorf("exec failed: %w", err)
	}
	return status, nil
}

func (c *execCommand) launch(e *env, id string, args []string) (int, error) {
	passed, err := inheritedFDs(c.preserveFDs)
	if err != nil {
		return execFailed, err
	}
	container, err := load(e, id)
	if err != nil {
		return execFailed, err
	}
	process, err := c.resolve(e, container, args)
	if err != nil {
		return execFailed, err
	}
	if err := checkTerminal(process, c.detach, c.consoleSocket); err != nil {
		return execFailed, err
	}
	pidFile, err := absolute(c.pidFile)
	if err != nil {
		return execFailed, err
	}
	process.Env = passed.env(process.Env)
	o := libcontainer.ExecOptions{
		Process:       process,
		Stdio:         e.stdio,
		ConsoleSocket: c.consoleSocket, PidfdSocket: c.pidfdSocket, PidFile: pidFile,
		PreserveFDs: c.preserveFDs, ListenFDs: passed.listen,
		Cgroups: c.cgroups, IgnorePaused: c.ignorePaused, Warn: e.log.warn,
	}
	if c.detach {
		_, err := container.Exec(o)
		return 0, err
	}
	return attendExec(e, container, o)
}

// attendExec runs the process in the foreground. Orphans are the container's
// init's to adopt, not ours.
func attendExec(e *env, container *libcontainer.Container, o libcontainer.ExecOptions) (int, error) {
	f, err := newForeground(false, e.stdio)
	if err != nil {
		return execFailed, err
	}
	defer f.end(e.log)
	o.Console = f.attach
	p, err := container.Exec(o)
	if err != nil {
		return execFailed, err
	}
	return f.wait(p.Pid())
}

// resolve makes the process of process.json alone; else of the bundle's config
// and the flags.
func (c *execCommand) resolve(e *env, container *libcontainer.Container, args []string) (*config.Process, error) {
	ctx := specconv.ProcessContext{Rootless: e.global.isRootless()}
	p := &specs.Process{}
	if c.process != "" {
		var err error
		if p, err = specconv.LoadProcess(c.process); err != nil {
			return nil, err
		}
	} else {
		st, err := container.State()
		if err != nil {
			return nil, err
		}
		if st.Status == libcontainer.Stopped {
			return nil, libcontainer.ErrStopped
		}
		spec, err := specconv.Load(st.Bundle)
		if err != nil {
			return nil, err
		}
		if spec.Process != nil {
			p = spec.Process
		}
		if err := c.override(p, args); err != nil {
			return nil, err
		}
	}
	ctx.UIDMappings, ctx.GIDMappings = container.IDMappings()
	process, warnings, err := specconv.ConvertProcess(p, ctx)
	for _, w := range warnings {
		e.log.warn(w)
	}
	return process, err
}

// override applies the flags to the config's process.
func (c *execCommand) override(p *specs.Process, args []string) error {
	if len(args) == 0 {
		return errors.New("process args cannot be empty; name a program, or use --process")
	}
	p.Args, p.CommandLine = args, ""
	p.Terminal = c.tty
	p.Env = append(slices.Clip(p.Env), c.env...)
	if c.cwd != "" {
		p.Cwd = c.cwd
	}
	if c.processLabel != "" {
		p.SelinuxLabel = c.processLabel
	}
	if c.apparmor != "" {
		p.ApparmorProfile = c.apparmor
	}
	if c.noNewPrivs != "" {
		p.NoNewPrivileges = c.noNewPrivs == "true"
	}
	if len(c.caps) > 0 {
		p.Capabilities = withCapabilities(p.Capabilities, c.caps)
	}
	return c.overrideUser(&p.User)
}

func (c *execCommand) overrideUser(u *specs.User) error {
	if c.user != "" {
		uid, gid, err := parseUser(c.user)
		if err != nil {
			return err
		}
		u.UID = uid
		if gid != nil {
			u.GID = *gid
		}
	}
	for _, s := range c.gids {
		gid, err := parseID(s)
		if err != nil {
			return fmt.Errorf("--additional-gids %q: %w", s, err)
		}
		u.AdditionalGids = append(u.AdditionalGids, gid)
	}
	return nil
}

// withCapabilities adds to the sets that execve(2) of a program without file
// capabilities keeps for root. Inheritable stays as it is (CVE-2022-29162), and
// ambient may only hold what is inheritable.
func withCapabilities(sets *specs.LinuxCapabilities, names []string) *specs.LinuxCapabilities {
	if sets == nil {
		sets = &specs.LinuxCapabilities{}
	}
	for _, name := range names {
		sets.Bounding = append(sets.Bounding, name)
		sets.Effective = append(sets.Effective, name)
		sets.Permitted = append(sets.Permitted, name)
		if slices.Contains(sets.Inheritable, name) {
			sets.Ambient = append(sets.Ambient, name)
		}
	}
	return sets
}
