// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v3"

	"berth/image"
	"berth/image/bundle"
	"berth/image/network"
	"berth/image/userns"
)

// bundleFlags are what unpack and run may say of the container.
func bundleFlags() []cli.Flag {
	return []cli.Flag{
		platformFlag(),
		&cli.StringFlag{Name: "mode", Usage: "`overlay|copy`: shared layers, or files of its own (default: overlay where it works)"},
		&cli.StringFlag{Name: "entrypoint", Usage: "`COMMAND` in the place of the image's, a JSON list or words"},
		&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "`NAME=VALUE` in the environment, or NAME to pass on"},
		&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "`USER[:GROUP]` of the process, names or numbers"},
		&cli.StringFlag{Name: "workdir", Aliases: []string{"w"}, Usage: "`DIR` that the process starts in"},
		&cli.StringFlag{Name: "hostname", Usage: "`NAME` of the container"},
		&cli.StringSliceFlag{Name: "mount", Usage: "`KEY=VALUE,…`: " + bundle.MountKeys},
		&cli.StringSliceFlag{Name: "volume", Aliases: []string{"v"}, Usage: "`SOURCE:DESTINATION[:OPTIONS]`: mount a path of the host, or the volume of a name; options are ro, nosuid and so on"},
		&cli.StringSliceFlag{Name: "tmpfs", Usage: "`DESTINATION[:OPTIONS]`: mount an empty file system in memory; options are size=64m, mode=1777 and so on"},
		&cli.StringFlag{Name: "net", Usage: "`host|none|PATH` of a network namespace; run also has bridge (default with -p) and the NAME of a CNI network (default: none; host for an ordinary user)"},
		&cli.StringFlag{Name: "memory", Aliases: []string{"m"}, Usage: "`SIZE` of memory at most, such as 512m"},
		&cli.FloatFlag{Name: "cpus", Usage: "`NUMBER` of processors at most"},
		&cli.Int64Flag{Name: "pids", Usage: "`NUMBER` of tasks at most"},
		&cli.StringFlag{Name: "shm-size", Usage: "`SIZE` of /dev/shm"},
		&cli.StringSliceFlag{Name: "ulimit", Usage: "`NAME=SOFT[:HARD]`: a limit of setrlimit(2), such as nofile=1024"},
		&cli.StringSliceFlag{Name: "device", Usage: "`HOST[:DESTINATION][:rwm]`: a device of the host"},
		&cli.StringSliceFlag{Name: "sysctl", Usage: "`NAME=VALUE` of the container's namespaces"},
		&cli.StringFlag{Name: "seccomp", Usage: "`default|unconfined|FILE`: which system calls are allowed"},
		&cli.StringFlag{Name: "apparmor", Usage: "`PROFILE` that is loaded"},
		&cli.StringSliceFlag{Name: "cap-add", Usage: "`CAP`ability to add to Docker's, or ALL"},
		&cli.StringSliceFlag{Name: "cap-drop", Usage: "`CAP`ability to take away, or ALL"},
		&cli.BoolFlag{Name: "privileged", Usage: "no isolation from the machine's devices and settings"},
		&cli.BoolFlag{Name: "new-privileges", Usage: "let setuid programs work"},
		&cli.BoolFlag{Name: "read-only", Usage: "nothing can be written to the root file system"},
		&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the process a terminal"},
		&cli.StringFlag{Name: "init", Usage: "static init `PROGRAM` of the host to reap orphans"},
		&cli.StringSliceFlag{Name: "annotation", Usage: "`NAME=VALUE` in config.json"},
		&cli.BoolFlag{Name: "rootless", Usage: "a container for an ordinary user (default, if you are one)"},
	}
}

// bundleOptions reads bundleFlags; cmd is in the place of the image's.
func bundleOptions(ctx context.Context, c *cli.Command, cmd []string) (image.UnpackOptions, error) {
	u := image.UnpackOptions{Mode: c.String("mode")}
	o := &u.Config
	o.User, o.Cwd, o.Hostname, o.Net = c.String("user"), c.String("workdir"), c.String("hostname"), c.String("net")
	o.CPUs, o.Pids, o.Seccomp, o.AppArmor = c.Float("cpus"), c.Int64("pids"), c.String("seccomp"), c.String("apparmor")
	o.CapAdd, o.CapDrop, o.Privileged = c.StringSlice("cap-add"), c.StringSlice("cap-drop"), c.Bool("privileged")
	o.NewPrivileges, o.ReadOnly, o.TTY, o.Init = c.Bool("new-privileges"), c.Bool("read-only"), c.Bool("tty"), c.String("init")
	if len(cmd) > 0 {
		o.Cmd = cmd
	}
	var err error
	u.Platform, err = platform(c)
	for _, step := range []func() error{
		func() error { return err },
		func() (err error) {
			if c.IsSet("entrypoint") {
				if o.Entrypoint, err = words(c.String("entrypoint")); err != nil {
					err = fmt.Errorf("--entrypoint: %w", err)
				}
			}
			return err
		},
		func() error { return rootless(ctx, c, o) },
		func() error { return limits(c, o) },
		func() error { return mounts(c, o) },
		func() (err error) { o.Sysctls, err = pairs("sysctl", c.StringSlice("sysctl")); return err },
		func() (err error) { o.Annotations, err = pairs("annotation", c.StringSlice("annotation")); return err },
	} {
		if err := step(); err != nil {
			return u, err
		}
	}
	for _, e := range c.StringSlice("env") {
		name, _, given := strings.Cut(e, "=")
		if value, there := os.LookupEnv(name); !given && there {
			o.Env = append(o.Env, name+"="+value)
		} else if given {
			o.Env = append(o.Env, e)
		}
	}
	return u, nil
}

func limits(c *cli.Command, o *bundle.Options) (err error) {
	for flag, into := range map[string]*int64{"memory": &o.Memory, "shm-size": &o.ShmSize} {
		if s := c.String(flag); s != "" {
			if *into, err = bundle.ParseMemory(s); err != nil {
				return fmt.Errorf("--%s: %w", flag, err)
			}
		}
	}
	for flag, negative := range map[string]bool{"cpus": o.CPUs < 0, "pids": o.Pids < 0} {
		if negative {
			return fmt.Errorf("--%s %v: want a positive number", flag, c.Value(flag))
		}
	}
	for _, s := range c.StringSlice("ulimit") {
		l, err := bundle.ParseUlimit(s)
		if err != nil {
			return fmt.Errorf("--ulimit: %w", err)
		}
		o.Ulimits = append(o.Ulimits, l)
	}
	for _, s := range c.StringSlice("device") {
		d, err := bundle.ParseDevice(s)
		if err != nil {
			return fmt.Errorf("--device: %w", err)
		}
		o.Devices = append(o.Devices, d)
	}
	if o.Privileged && !o.Rootless { // a user has no devices to give
		all, err := bundle.HostDevices()
		if err != nil {
			return err
		}
		o.Devices = append(o.Devices, all...)
	}
	return nil
}

func mounts(c *cli.Command, o *bundle.Options) error {
	for _, kind := range []struct {
		flag  string
		parse func(string) (bundle.Mount, error)
	}{{"mount", bundle.ParseMount}, {"volume", bundle.ParseVolume}, {"tmpfs", bundle.ParseTmpfs}} {
		for _, s := range c.StringSlice(kind.flag) {
			m, err := kind.parse(s)
			if err != nil {
				return fmt.Errorf("--%s %s: %w", kind.flag, s, err)
			}
			o.Mounts = append(o.Mounts, m)
		}
	}
	return nil
}

// pairs reads NAME=VALUE.
func pairs(flag string, list []string) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	m := make(map[string]string)
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--%s %s: want NAME=VALUE", flag, s)
		}
		m[name] = value
	}
	return m, nil
}

func unpackCommand() *cli.Command {
	return &cli.Command{
		Name: "unpack", Usage: "make a bundle of an image of the store", ArgsUsage: "IMAGE DIR",
		Flags: append(bundleFlags(),
			&cli.StringFlag{Name: "cmd", Usage: "`COMMAND` in the place of the image's, a JSON list or words"},
			&cli.BoolFlag{Name: "no-manifest", Usage: "mode copy: do not note how files were, which commit needs"},
			&cli.BoolFlag{Name: "paranoid", Usage: "mode copy: read all files and note their sums, for commit --paranoid"}),
		Action: owned(func(ctx context.Context, c *cli.Command) error {
			a, err := args(c, 2, 2)
			if err != nil {
				return err
			}
			cmd, err := words(c.String("cmd"))
			if err != nil {
				return fmt.Errorf("--cmd: %w", err)
			}
			o, err := bundleOptions(ctx, c, cmd)
			if err != nil {
				return err
			}
			o.NoManifest, o.Paranoid = c.Bool("no-manifest"), c.Bool("paranoid")
			o.Config.Inside = o.Config.Inside && !userns.Entered(os.Args)
			return with(c, func(t *image.Tool) error {
				if err := t.Volumes(&o); err != nil {
					return err
				}
				return t.Unpack(ctx, a[0], a[1], o)
			})
		}),
	}
}

func mountCommand() *cli.Command {
	return &cli.Command{
		Name: "mount", Usage: "mount the root file system of an overlay bundle again", ArgsUsage: "DIR",
		Action: owned(func(ctx context.Context, c *cli.Command) error {
			a, err := args(c, 1, 1)
			if err != nil {
				return err
			}
			return with(c, func(t *image.Tool) error { return t.Mount(ctx, a[0]) })
		}),
	}
}

func unmountCommand() *cli.Command {
	return &cli.Command{
		Name: "unmount", Aliases: []string{"umount"}, Usage: "unmount the root file system of a bundle; what was written stays", ArgsUsage: "DIR",
		Flags: []cli.Flag{&cli.BoolFlag{Name: "rm", Usage: "remove the whole bundle"}},
		Action: owned(func(_ context.Context, c *cli.Command) error {
			a, err := args(c, 1, 1)
			if err != nil {
				return err
			}
			return with(c, func(t *image.Tool) error { return t.Unmount(a[0], c.Bool("rm")) })
		}),
	}
}

func commitCommand() *cli.Command {
	return &cli.Command{
		Name: "commit", Usage: "make an image of what changed in a bundle", ArgsUsage: "DIR NAME",
		Flags: append(editFlags(), compressionFlag(),
			&cli.StringFlag{Name: "message", Aliases: []string{"m"}, Usage: "`TEXT` for the history"},
			&cli.StringFlag{Name: "created-by", Value: "berth-image commit", Usage: "`COMMAND` for the history"},
			&cli.BoolFlag{Name: "paranoid", Usage: "mode copy: read every file instead of trusting its times"},
			&cli.BoolFlag{Name: "volumes", Usage: "include what is in the image's volumes"}),
		Action: owned(func(ctx context.Context, c *cli.Command) error {
			a, err := args(c, 2, 2)
			if err != nil {
				return err
			}
			o := image.CommitOptions{
				CreatedBy: c.String("created-by"), Author: c.String("author"), Comment: c.String("message"),
				Paranoid: c.Bool("paranoid"), Volumes: c.Bool("volumes"),
			}
			if o.Compression, err = compression(c); err != nil {
				return err
			}
			if o.Edits, err = edits(c); err != nil {
				return err
			}
			return with(c, func(t *image.Tool) error {
				name, d, err := t.Commit(ctx, a[0], a[1], o)
				if err != nil {
					return err
				}
				return printImage(c, name, d)
			})
		}),
	}
}

func runCommand() *cli.Command {
	return &cli.Command{
		Name: "run", Usage: "run a container of an image, and remove it", ArgsUsage: "IMAGE [COMMAND...]",
		Flags: append(bundleFlags(),
			&cli.BoolFlag{Name: "interactive", Aliases: []string{"i"}, Usage: "pass stdin on, as run always does"},
			&cli.BoolFlag{Name: "rm", Usage: "remove the container when it ends, as run always does"},
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Hidden: true, Usage: "not here"},
			&cli.StringFlag{Name: "name", Usage: "`ID` of the container"},
			&cli.StringSliceFlag{Name: "publish", Aliases: []string{"p"}, Usage: "`[[IP:]HOST:]CONTAINER[/udp]`: the host serves a port of the container"},
			&cli.StringSliceFlag{Name: "dns", Usage: "`ADDRESS` of a name server"},
			&cli.StringSliceFlag{Name: "dns-search", Usage: "`DOMAIN` to look names up in"},
			&cli.StringFlag{Name: "cni-path", Sources: cli.EnvVars("CNI_PATH"), Usage: "`DIR[:DIR…]` of CNI plugins"},
			&cli.StringFlag{Name: "cni-config", Sources: cli.EnvVars("NETCONFPATH"), Value: network.DefaultConfDir, Usage: "`DIR` of CNI networks"},
			&cli.StringFlag{Name: "pull", Value: "missing", Usage: "`missing|always|never`: when to ask the registry"},
			&cli.StringFlag{Name: "runtime", Usage: "`PROGRAM` (default: berth beside this program, or in $PATH)"},
			&cli.StringSliceFlag{Name: "runtime-arg", Usage: "global `FLAG` of the runtime"}),
		StopOnNthArg: new(1),
		Action: owned(func(ctx context.Context, c *cli.Command) error {
			a, err := args(c, 1, -1)
			if err != nil {
				return err
			}
			switch {
			case c.Bool("detach"):
				return errors.New("run: --detach: it stays with its container (hint: put it in the background with &; or unpack, berth create and berth start)")
			case c.IsSet("rm") && !c.Bool("rm"):
				return errors.New("run: --rm=false: it always removes its container (hint: unpack and berth run)")
			}
			o := image.RunOptions{
				ID: c.String("name"), Pull: c.String("pull"), RuntimeArgs: c.StringSlice("runtime-arg"),
				Stdio: [3]*os.File{os.Stdin, os.Stdout, os.Stderr},
			}
			if o.Unpack, err = bundleOptions(ctx, c, a[1:]); err != nil {
				return err
			}
			if o.Network, err = networkOptions(c); err != nil {
				return err
			}
			if o.Runtime, err = runtimePath(c.String("runtime")); err != nil {
				return err
			}
			return with(c, func(t *image.Tool) error {
				status, err := t.Run(ctx, a[0], o)
				if err == nil && status != 0 {
					return exitStatus(status)
				}
				return err
			})
		}),
	}
}

// networkOptions are what run may say of a network by CNI plugins, but its name.
func networkOptions(c *cli.Command) (network.Options, error) {
	o := network.Options{
		ConfDir: c.String("cni-config"),
		DNS:     network.DNS{Servers: c.StringSlice("dns"), Search: c.StringSlice("dns-search")},
	}
	if dirs := c.String("cni-path"); dirs != "" {
		o.PluginDirs = filepath.SplitList(dirs)
	}
	for _, s := range c.StringSlice("publish") {
		p, err := network.ParsePort(s)
		if err != nil {
			return o, fmt.Errorf("--publish: %w", err)
		}
		o.Publish = append(o.Publish, p)
	}
	return o, nil
}

// runtimePath is the berth that was installed with us, if nobody names another.
func runtimePath(given string) (string, error) {
	if given != "" {
		path, err := exec.LookPath(given)
		if err != nil {
			return "", fmt.Errorf("--runtime: %w", err)
		}
		return path, nil
	}
	self, err := os.Executable()
	if err == nil {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), "berth")); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath("berth")
	if err != nil {
		return "", errors.New("no runtime: berth is neither beside berth-image nor in $PATH (hint: --runtime)")
	}
	return path, nil
}
