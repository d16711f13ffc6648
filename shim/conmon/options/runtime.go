// SPDX-License-Identifier: Apache-2.0

package options

// RuntimeArgs is the command line, beginning with the runtime's path, that
// creates, restores or executes as o says; see runtime_args.c in conmon.
// consoleSocket is the path of a listening socket for the terminal, "" for
// none. o should have its defaults (WithDefaults).
func RuntimeArgs(o Options, consoleSocket string) []string {
	argv := []string{o.Runtime}
	if o.SystemdCgroup && !o.Exec {
		argv = append(argv, "--systemd-cgroup")
	}
	argv = append(argv, o.RuntimeArgs...)
	if o.Exec {
		argv = append(argv, "exec", "--pid-file", o.PIDFile, "--process", o.ExecProcessSpec, "--detach")
		if o.Terminal {
			argv = append(argv, "--tty")
		}
	} else {
		argv = append(argv, o.createArgs()...)
	}
	argv = append(argv, o.RuntimeOpts...)
	if consoleSocket != "" {
		argv = append(argv, "--console-socket", consoleSocket)
	}
	return append(argv, o.ID)
}

func (o Options) createArgs() []string {
	verb := "create"
	if o.Restore != "" {
		verb = "restore"
	}
	argv := []string{verb, "--bundle", o.Bundle, "--pid-file", o.PIDFile}
	if o.NoPivot {
		argv = append(argv, "--no-pivot")
	}
	if o.NoNewKeyring {
		argv = append(argv, "--no-new-keyring")
	}
	if o.Restore != "" {
		argv = append(argv, "--detach", "--image-path", o.Restore, "--work-path", o.Bundle)
	}
	return argv
}
