// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// lines are command lines that engines send, and what they mean.
var lines = []struct {
	name string
	argv string
	want command
	args []string
}{
	{"containerd create", "--root /run/r --log /b/log.json --log-format json --systemd-cgroup create --bundle /b --pid-file /b/init.pid --console-socket /t/s web",
		&createCommand{bundleFlags{bundle: "/b", pidFile: "/b/init.pid", consoleSocket: "/t/s"}}, []string{"web"}},
	{"flags after the id", "run web -d -b /b", &runCommand{bundleFlags: bundleFlags{bundle: "/b"}, detach: true}, []string{"web"}},
	{"one dash", "-root /r run -no-subreaper -bundle=/b -keep web", &runCommand{bundleFlags: bundleFlags{bundle: "/b"}, noSubreaper: true, keep: true}, []string{"web"}},
	{"equal signs", "create --bundle=/b=c --preserve-fds=3 web", &createCommand{bundleFlags{bundle: "/b=c", preserveFDs: 3}}, []string{"web"}},
	{"empty value", "create --bundle= web", &createCommand{}, []string{"web"}},
	{"the last wins", "create -b /a --bundle /c --no-pivot --no-pivot=false web", &createCommand{bundleFlags{bundle: "/c"}}, []string{"web"}},
	{"value that looks like a flag", "exec -u -1 web true", &execCommand{user: "-1"}, []string{"web", "true"}},
	{"exec ends at the id", "exec -t --env A=1,2 -e B web sh -c exit --env", &execCommand{tty: true, env: []string{"A=1,2", "B"}}, []string{"web", "sh", "-c", "exit", "--env"}},
	{"exec --tty=true of crun", "exec --tty=true --no-new-privs=false web id", &execCommand{tty: true, noNewPrivs: "false"}, []string{"web", "id"}},
	{"go-runc exec", "exec --process /p.json --detach --pid-file /p web", &execCommand{process: "/p.json", detach: true, pidFile: "/p"}, []string{"web"}},
	{"lists", "exec -g 1 --additional-gids 2 -c CAP_A --cap CAP_B --cgroup a --cgroup b:c web id",
		&execCommand{gids: []string{"1", "2"}, caps: []string{"CAP_A", "CAP_B"}, cgroups: []string{"a", "b:c"}}, []string{"web", "id"}},
	{"hidden flags", "exec --no-subreaper web id", &execCommand{noSubreaper: true}, []string{"web", "id"}},
	{"double dash", "delete --force -- -web", &deleteCommand{force: true}, []string{"-web"}},
	{"double dash after the verb", "delete -- --force", &deleteCommand{}, []string{"--force"}},
	{"double dash before the verb", "-- state web", &stateCommand{}, []string{"web"}},
	{"ps options", "ps -f json web -e -o pid", &psCommand{format: "json"}, []string{"web", "-e", "-o", "pid"}},
	{"kill", "kill --all web 9", &killCommand{all: true}, []string{"web", "9"}},
	{"global flag twice", "--root /a --root /b list -q", &listCommand{quiet: true}, nil},
	{"criu", "--criu /no/criu --rootless false --cgroup-manager disabled --log-level error list", &listCommand{}, nil},
	{"empty id", "state |", &stateCommand{}, []string{""}},
	{"a dash", "spec -f -", &specCommand{file: "-"}, nil},
	{"plan", "plan --format json --bundle /b", &planCommand{bundleFlags: bundleFlags{bundle: "/b"}, format: "json"}, nil},
}

// standard are the files of a command of its own.
var standard = [3]*os.File{os.Stdin, os.Stdout, os.Stderr}

// split makes argv of a line; | is an empty argument.
func split(line string) []string {
	argv := append([]string{"berth"}, strings.Fields(line)...)
	for i, a := range argv {
		if a == "|" {
			argv[i] = ""
		}
	}
	return argv
}

func TestCommandLines(t *testing.T) {
	for _, l := range lines {
		t.Run(l.name, func(t *testing.T) {
			quick, ok := quickly(split(l.argv))
			if !ok {
				t.Fatal("not understood")
			}
			thorough, err := thoroughly(split(l.argv), standard)
			if err != nil {
				t.Fatal(err)
			}
			for way, inv := range map[string]*invocation{"quickly": quick, "thoroughly": thorough} {
				if !reflect.DeepEqual(inv.command, l.want) {
					t.Errorf("%s: options = %+v, want %+v", way, inv.command, l.want)
				}
				if !slices.Equal(inv.args, l.args) {
					t.Errorf("%s: arguments = %q, want %q", way, inv.args, l.args)
				}
				if err := inv.check("berth"); err != nil {
					t.Errorf("%s: %v", way, err)
				}
			}
			if !reflect.DeepEqual(quick.global, thorough.global) {
				t.Errorf("quickly: %+v, thoroughly: %+v", quick.global, thorough.global)
			}
		})
	}
}

func TestShortFlagsInOneWord(t *testing.T) {
	inv, err := thoroughly(split("exec -td web true"), standard)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := inv.command, (&execCommand{tty: true, detach: true}); !reflect.DeepEqual(got, want) {
		t.Errorf("options = %+v, want %+v", got, want)
	}
}

var wrongLines = []struct{ argv, want string }{
	{"nonsense", `no such command: "nonsense"; berth --help lists them`},
	{"--nonsense list", "berth: flag provided but not defined: -nonsense; berth --help lists the flags"},
	{"create --nonsense web", "create: flag provided but not defined: -nonsense; berth create --help lists the flags"},
	{"create web --bundle", "create: flag needs an argument: --bundle; berth create --help lists the flags"},
	{"create --preserve-fds -1 web", `create: invalid value "-1" for flag -preserve-fds: must be a number from 0 to 65535; berth create --help lists the flags`},
	{"create --no-pivot=maybe web", `create: invalid value "maybe" for flag -no-pivot: must be true or false; berth create --help lists the flags`},
	{"--rootless maybe list", `berth: invalid value "maybe" for flag -rootless: must be one of true, false, auto; berth --help lists the flags`},
	{"create", `berth: "create" requires exactly 1 argument(s); usage: berth create [flags] <container-id>`},
	{"state a b", `berth: "state" requires exactly 1 argument(s); usage: berth state [flags] <container-id>`},
	{"kill", `berth: "kill" requires a minimum of 1 argument(s); usage: berth kill [flags] <container-id> [signal]`},
	{"kill a b c", `berth: "kill" requires a maximum of 2 argument(s); usage: berth kill [flags] <container-id> [signal]`},
}

func TestWrongCommandLines(t *testing.T) {
	for _, l := range wrongLines {
		inv, ok := quickly(split(l.argv))
		var err error
		if !ok {
			inv, err = thoroughly(split(l.argv), standard)
		}
		if err == nil {
			err = inv.check("/usr/bin/berth")
		}
		if err == nil || err.Error() != l.want {
			t.Errorf("%s: error = %v, want %s", l.argv, err, l.want)
		}
	}
}

// FuzzQuickly looks for command lines that the two ways read differently.
func FuzzQuickly(f *testing.F) {
	for _, l := range lines {
		f.Add(strings.ReplaceAll(l.argv, " ", "\n"))
	}
	for _, l := range wrongLines {
		f.Add(strings.ReplaceAll(l.argv, " ", "\n"))
	}
	f.Fuzz(func(t *testing.T, words string) {
		argv := append([]string{"berth"}, strings.Split(words, "\n")...)
		// Help would be printed; and after a blank word cli reads flags where
		// it should have stopped.
		blank := func(s string) bool { return strings.TrimSpace(s) == "" }
		if slices.ContainsFunc(argv, blank) || strings.Contains(words, "h") {
			t.Skip()
		}
		quick, ok := quickly(argv)
		if !ok {
			return
		}
		thorough, err := thoroughly(argv, standard)
		if err != nil {
			t.Fatalf("%q: accepted, but %v", argv, err)
		}
		if !reflect.DeepEqual(quick, thorough) && !(len(quick.args) == 0 && len(thorough.args) == 0) {
			t.Errorf("%q: %+v, but thoroughly %+v", argv, quick, thorough)
		}
	})
}

func BenchmarkQuickly(b *testing.B) {
	argv := split(lines[0].argv)
	for b.Loop() {
		quickly(argv)
	}
}
