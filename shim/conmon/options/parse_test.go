// SPDX-License-Identifier: Apache-2.0

package options

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata")

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile("testdata/"+name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs, -update rewrites it; got:\n%s", name, got)
	}
}

// environ is an environment written as "A=x B=y", with a UTF-8 locale by default.
func environ(text string) func(string) string {
	return func(key string) string {
		for pair := range strings.FieldsSeq(text + " LANG=C.UTF-8") {
			if value, ok := strings.CutPrefix(pair, key+"="); ok {
				return value
			}
		}
		return ""
	}
}

const enough = "-c 0123456789abc -u uuid -r /bin/rt -l none"

// TestErrorsAreConmons: each text was printed by Debian's conmon 2.1.6, but for
// labels and --log-max-files, which it does not know yet, the errno that it puts
// after the texts about pipes, and locales that were not installed there.
func TestErrorsAreConmons(t *testing.T) {
	const parsing = "conmon: option parsing failed: "
	const noID = "conmon: Container ID not provided. Use --cid"
	const noUUID = "[conmon:e] Container UUID not provided. Use --cuuid"
	const bytes = parsing + "Invalid byte sequence in conversion input"
	for _, c := range []struct{ args, env, want string }{
		{"--foo", "", parsing + "Unknown option --foo"},
		{"--cids", "", parsing + "Unknown option --cids"},
		{"--tim 5", "", parsing + "Unknown option --tim"},
		{"---x", "", parsing + "Unknown option ---x"},
		{"--=x", "", parsing + "Unknown option --=x"},
		{"--help-foo", "", parsing + "Unknown option --help-foo"},
		{"-Z", "", parsing + "Unknown option -Z"},
		{"x -Z", "", parsing + "Unknown option -Z"},
		{"-tZ", "", parsing + "Unknown option -tZ"},
		{"-cfoo bar", "", parsing + "Unknown option -cfoo"},
		{"-cfoo", "", parsing + "Missing argument for -c"},
		{"-c= -u", "", parsing + "Unknown option -c="},
		{"--cid", "", parsing + "Missing argument for --cid"},
		{"-ti -c", "", parsing + "Missing argument for -c"},
		{"-cb x y", "", parsing + "Error parsing option -b"},
		{"--version --foo", "", parsing + "Unknown option --foo"},
		{"--timeout=abc", "", parsing + "Cannot parse integer value “abc” for --timeout"},
		{"--timeout=", "", parsing + "Cannot parse integer value “” for --timeout"},
		{"--timeout=08", "", parsing + "Cannot parse integer value “08” for --timeout"},
		{"--timeout 0x", "", parsing + "Cannot parse integer value “0x” for --timeout"},
		{"--timeout --5", "", parsing + "Cannot parse integer value “--5” for --timeout"},
		{"-T --", "", parsing + "Cannot parse integer value “--” for -T"},
		{"--timeout=2147483648", "", parsing + "Integer value “2147483648” for --timeout out of range"},
		{"--log-size-max 99999999999999999999", "", parsing + "Integer value “99999999999999999999” for --log-size-max out of range"},
		{"--log-size-max 1_0", "", parsing + "Cannot parse integer value “1_0” for --log-size-max"},

		{"--log-tag é", "LC_ALL=C", bytes},
		{"--log-tag é", "LANG=POSIX LC_CTYPE=C", bytes},
		{"--log-path é", "LC_ALL=C", bytes},
		{"--log-tag \xff", "", bytes},
		{"--log-tag é", "LC_ALL=en_US.utf8@x", noID},
		{"--log-tag \xff", "LC_ALL=de_DE.ISO-8859-1", noID},
		{"é", "LC_ALL=C", noID},
		{"--é", "LC_ALL=C", parsing + "Unknown option --?"},
		{"--timeout é", "LC_ALL=C", parsing + "Cannot parse integer value ??? for --timeout"},

		{"", "", noID},
		{"-- -Z", "", noID},
		{"--timeout=0x10 --timeout=-5 --timeout +5", "", noID},
		{"--api-version", "", noID},
		{"--api-version=x", "", noID},
		{"-c x --log-level foo -e --restore x", "", "[conmon:e]: No such log level foo"},
		{"-c x --log-level=", "", "[conmon:e]: No such log level "},
		{"-c x -e --restore x --exec-attach", "", "[conmon:e] Cannot use 'exec' and 'restore' at the same time"},
		{"-c x --exec-attach", "", "[conmon:e] Attach can only be specified with exec"},
		{"-c x -e --exec-attach", "", "[conmon:e] Attach can only be specified for a non-legacy exec session"},
		{"-c x", "", noUUID},
		{"--cid --foo", "", noUUID},
		{"-cti bar", "", noUUID},
		{"-c x -e --api-version", "", noUUID},
		{"-c x -e", "", "[conmon:e] Runtime path not provided. Use --runtime"},
		{"-c x -e -r r", "", "[conmon:e] Exec process spec path not provided. Use --exec-process-spec"},
		{"-c x -u y -r r", "", "[conmon:e] Log driver not provided. Use --log-path"},
		{enough + " -l json-file:", "", "[conmon:e]: json-file requires a filename"},
		{enough + " -l foo:bar", "", "[conmon:e]: No such log driver foo"},
		{enough + " -l a:b:c", "", "[conmon:e]: No such log driver a"},
		{enough + " -l k8s-file", "", "[conmon:e]: k8s-file requires a filename"},
		{enough + " -l k8s-file:", "", "[conmon:e]: k8s-file requires a filename"},
		{enough + " -l :", "", "[conmon:e]: log-path must not be empty"},
		{enough + " --log-path=", "", "[conmon:e]: log-path must not be empty"},
		{"-c 0123456789ab -u y -r r -l journald", "", "[conmon:e] Container ID must be longer than 12 characters"},
		{enough + " -l /log --log-tag x", "", "[conmon:e] k8s-file doesn't support --log-tag"},
		{enough + " -l /log --log-label A=x", "", "[conmon:e] k8s-file doesn't support --log-label"},
		{enough + " --log-label =x", "", `[conmon:e]: Container labels must be in format LABEL=VALUE ("=x" is not)`},
		{enough + " --log-label A", "", `[conmon:e]: Container labels must be in format LABEL=VALUE ("A" is not)`},
		{enough + " --log-label AaA=x", "", `[conmon:e]: Container label names must be of A-Z, 0-9 and _ ("AaA" is not)`},
		{enough + " --log-max-files 0", "", "[conmon:e] --log-max-files must be at least 1"},
		{enough, "_OCI_SYNCPIPE=x", "[conmon:e]: unable to parse _OCI_SYNCPIPE"},
		{enough, "_OCI_STARTPIPE=-1", "[conmon:e]: unable to parse _OCI_STARTPIPE"},
		{enough + " --api-version 1 -e --exec-process-spec f --exec-attach", "", "[conmon:e]: --attach specified but _OCI_ATTACHPIPE was not"},
	} {
		args := strings.Fields(c.args)
		_, err := Parse(args, environ(c.env))
		if got := fmt.Sprint(err); got != c.want {
			t.Errorf("%s conmon %s\n got %s\nwant %s", c.env, c.args, got, c.want)
		}
	}
}

func TestPodmanCreates(t *testing.T) {
	id := strings.Repeat("0a", 32)
	got, err := Parse([]string{
		"--api-version", "1", "-c", id, "-u", id, "-r", "/usr/bin/crun", "-b", "/b", "-p", "/p/pidfile", "-n", "web",
		"--exit-dir", "/exits", "--persist-dir", "/persist", "--full-attach", "-s", "-l", "journald", "--log-level", "WARNING",
		"--syslog", "--log-size-max", "10485760", "--log-tag", "ü", "--log-label", "A_1=x=y",
		"--runtime-arg", "--log-format=json", "--runtime-arg", "--log", "--runtime-arg=/p/oci-log",
		"-ti", "--timeout=7", "--no-new-keyring", "--no-pivot", "--conmon-pidfile", "/p/conmon.pid", "--sdnotify-socket=/run/n",
		"--runtime-opt", "--preserve-fds", "--runtime-opt", "2", "--exit-command", "/usr/bin/podman",
		"--exit-command-arg", "--syslog", "--exit-command-arg", "container", "--exit-command-arg", "cleanup", "--exit-delay", "300",
	}, environ("_OCI_SYNCPIPE=6 _OCI_STARTPIPE=7 _OCI_ATTACHPIPE=8"))
	if err != nil {
		t.Fatal(err)
	}
	want := Options{
		APIVersion: 1, ID: id, UUID: id, Name: "web", Runtime: "/usr/bin/crun", Bundle: "/b", PIDFile: "/p/pidfile",
		ExitDir: "/exits", PersistDir: "/persist", FullAttach: true, SystemdCgroup: true, SocketDir: DefaultSocketDir,
		Logs: []Log{{Driver: Journald}}, LogLevel: LevelWarn, Syslog: true, LogSizeMax: 10 << 20, LogMaxFiles: 1,
		LogTag: "ü", LogLabels: []string{"A_1=x=y"},
		RuntimeArgs: []string{"--log-format=json", "--log", "/p/oci-log"}, RuntimeOpts: []string{"--preserve-fds", "2"},
		Terminal: true, Stdin: true, Timeout: 7 * time.Second, NoNewKeyring: true, NoPivot: true,
		MonitorPIDFile: "/p/conmon.pid", NotifySocket: "/run/n",
		ExitCommand: "/usr/bin/podman", ExitArgs: []string{"--syslog", "container", "cleanup"}, ExitDelay: 300 * time.Second,
		SyncPipe: 6, StartPipe: 7, AttachPipe: -1,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("options = %+v\nwant %+v", got, want)
	}
}

func TestRareFlags(t *testing.T) {
	got, err := Parse(strings.Fields("ignored -eb /b --exec-attach --api-version=0 --exec-process-spec p -c 1 -c 0123456789abc -u u -r r -0 /first -0 /p "+
		"--pidfile q --restore-arg a --runtime-opt b --replace-listen-pid --leave-stdin-open=false --sync -P m --socket-dir-path /s "+
		"-l /log -l :/log2 -l k8s-file:a:b -l off -l null: -l passthrough --log-global-size-max 0x10 --log-size-max -1 "+
		"--log-rotate --log-max-files 010 --log-allowlist-dir /a --log-allowlist-dir /b --no-container-partial-message --no-sync-log "+
		"--log-level trace --seccomp-notify-socket /s --seccomp-notify-plugins p --exit-delay -3 -- --foo"), environ("_OCI_ATTACHPIPE=5"))
	if err != nil {
		t.Fatal(err)
	}
	want := Options{
		Warnings: []string{
			"--seccomp-notify-socket is ignored: seccomp notifications are not handled here",
			"--seccomp-notify-plugins is ignored: seccomp notifications are not handled here",
		},
		Exec: true, ExecAttach: true, APIVersion: 1, ExecProcessSpec: "p", ID: "0123456789abc", UUID: "u", Runtime: "r", Bundle: "/b",
		PersistDir: "/p", PIDFile: "q", RuntimeOpts: []string{"a", "b"}, ReplaceListenPID: true, LeaveStdinOpen: true, Sync: true,
		MonitorPIDFile: "m", SocketDir: "/s",
		Logs:             []Log{{K8sFile, "/log"}, {K8sFile, "/log2"}, {K8sFile, "a:b"}, {Driver: None}, {Driver: None}, {Driver: Passthrough}},
		LogGlobalSizeMax: 16, LogRotate: true, LogMaxFiles: 8, LogAllowDirs: []string{"/a", "/b"}, NoPartialMessage: true, NoSyncLog: true,
		LogLevel: LevelTrace, SyncPipe: -1, StartPipe: -1, AttachPipe: 5,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("options = %+v\nwant %+v", got, want)
	}
}

func TestHelpAndVersionNeedNothingElse(t *testing.T) {
	for _, c := range []struct {
		args string
		want Options
	}{
		{"--help --foo", Options{Help: true}}, {"-th", Options{Help: true}}, {"-?", Options{Help: true}},
		{"--help-all", Options{Help: true}}, {"--version", Options{Version: true}}, {"-c x --version", Options{Version: true}},
	} {
		if got, err := Parse(strings.Fields(c.args), environ("")); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("conmon %s: %+v, %v", c.args, got, err)
		}
	}
	golden(t, "usage.txt", Usage())
	golden(t, "version.txt", Version("0.1.0", "")+Version("0.1.0", "abc123"))
}

// TestRuntimeArgs: the golden text was compared with what Debian's conmon 2.1.6 runs.
func TestRuntimeArgs(t *testing.T) {
	var text strings.Builder
	for _, c := range []struct{ args, console string }{
		{"-b /b -s --no-pivot --no-new-keyring --runtime-arg a --runtime-arg=b --runtime-opt x --restore-arg y", ""},
		{"-b /b -s --no-pivot --no-new-keyring --runtime-arg a --runtime-opt x --restore-arg y --restore /img", ""},
		{"-t -p pf", "/tmp/console"},
		{"-b /b -s --no-pivot --runtime-arg a --runtime-opt x -e --exec-process-spec f", ""},
		{"-t --runtime-opt x -e --exec-process-spec f", "/tmp/console"},
	} {
		o, err := Parse(strings.Fields(enough+" "+c.args), environ(""))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s\n\t%s\n", c.args, strings.Join(RuntimeArgs(o.WithDefaults("/cwd"), c.console), " "))
	}
	golden(t, "runtime.txt", text.String())
}

func FuzzParse(f *testing.F) {
	f.Add(strings.ReplaceAll(enough+" --timeout 0x", " ", "\x00"), "C")
	f.Add("-ctl\x00a\x00--log-path=:x\x00--\x00-", "C.UTF-8")
	f.Add("--exit-delay\x00-00\x00--api-version=\xff", "")
	f.Fuzz(func(t *testing.T, line, lang string) {
		o, err := Parse(strings.Split(line, "\x00"), func(string) string { return lang })
		if err != nil || o.Help || o.Version {
			return
		}
		if o.ID == "" || o.Runtime == "" || len(o.Logs) == 0 || o.Timeout < 0 || o.ExitDelay < 0 || o.LogSizeMax < 0 || o.LogMaxFiles < 1 {
			t.Errorf("incomplete options were accepted: %+v", o)
		}
		if argv := RuntimeArgs(o.WithDefaults("/"), "s"); argv[0] != o.Runtime || argv[len(argv)-1] != o.ID {
			t.Errorf("runtime's command line is %q", argv)
		}
	})
}
