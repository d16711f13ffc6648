// SPDX-License-Identifier: Apache-2.0

package embed

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/tests/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

func TestEmbeddedContainer(t *testing.T) {
	rig.NeedRoot(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "embed")
	build(t, program)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"output and status": {[]string{"sh", "-c", "echo from inside; exit 7"}, "from inside\nexit status 7\n"},
		"killed":            {[]string{"sh", "-c", "kill -9 $$; sleep 1; exit 3"}, "exit status 3\n"},
		"its own pid":       {[]string{"sh", "-c", "echo $$"}, "1\nexit status 0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			bundle := filepath.Join(t.TempDir(), "bundle")
			if err := rig.Bundle(bundle, nil); err != nil {
				t.Fatal(err)
			}
			if err := rig.WriteConfig(bundle, rig.DefaultSpec(rig.CgroupBase()+"/embedded", c.args...)); err != nil {
				t.Fatal(err)
			}
			res, err := rig.Collect(exec.Command(program, bundle, "embedded"), 20*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if res.Code != 0 || res.Stdout != c.want || res.Stderr != "" {
				t.Errorf("got %v; want stdout %q", res, c.want)
			}
			trace := rig.Trace{Runtime: rig.Runtime{Root: "/run/berth-embed"}, ID: "embedded", Bundle: bundle}
			if left := trace.Leftovers(3 * time.Second); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// build compiles the example with cgo, which libcontainer/seccomp needs.
func build(t *testing.T, out string) {
	t.Helper()
	module, err := rig.ModuleDir()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-tags", "netgo,osusergo,urfave_cli_no_template,no_grpc", "-o", out, "./examples/embed")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOEXPERIMENT=") // as others build it, not as we build berth
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build examples/embed: %v\n%s", err, msg)
	}
}

// TestExampleIsShort keeps the example what it is for.
func TestExampleIsShort(t *testing.T) {
	module, err := rig.ModuleDir()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(module, "examples/embed/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(data), "\n"); n > 65 {
		t.Errorf("examples/embed/main.go has %d lines, want about 60", n)
	}
}
