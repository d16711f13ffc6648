// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/tests/rig"
)

const (
	patience = 15 * time.Second
	settle   = 3 * time.Second
	marker   = "BERTH_MARK=hostile"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// attempt is one command on one bundle.
type attempt struct {
	r      rig.Runtime
	bundle string
	id     string
}

// newAttempt makes a bundle whose config is good as it stands.
func newAttempt(t *testing.T, r rig.Runtime) attempt {
	t.Helper()
	a := attempt{r: r, bundle: filepath.Join(t.TempDir(), "bundle"), id: "hostile"}
	if err := rig.Bundle(a.bundle, nil); err != nil {
		t.Fatal(err)
	}
	a.write(t, good(t))
	return a
}

// good is a valid config as a tree that cases can change freely.
func good(t *testing.T) map[string]any {
	t.Helper()
	s := rig.DefaultSpec(rig.CgroupBase()+"/hostile", "sleep", "1000")
	s.Process.Env = []string{"PATH=/bin", marker}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

func (a attempt) write(t *testing.T, config any) {
	t.Helper()
	data, ok := config.([]byte)
	if !ok {
		var err error
		if data, err = json.Marshal(config); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(a.bundle, "config.json"), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (a attempt) create(t *testing.T) rig.Result {
	t.Helper()
	return do(t, a.r, "create", "--bundle", a.bundle, a.id)
}

func do(t *testing.T, r rig.Runtime, args ...string) rig.Result {
	t.Helper()
	res, err := r.Do(patience, args...)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// refused checks that res is a refusal of one line, with each of words in it.
func refused(t *testing.T, res rig.Result, words ...string) {
	t.Helper()
	if res.TimedOut {
		t.Fatalf("not done after %v: %v", patience, res)
	}
	if res.Code == 0 {
		t.Errorf("exit code = 0, want a refusal; %v", res)
	}
	tidy(t, res)
	text := strings.TrimSuffix(res.Stderr, "\n")
	if text == "" || strings.Contains(text, "\n") {
		t.Errorf("stderr = %q, want one line", res.Stderr)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("stderr = %q, want %q in it", text, word)
		}
	}
}

// tidy checks what holds for every end: no trace of Go's, nothing on stdout.
func tidy(t *testing.T, res rig.Result) {
	t.Helper()
	for _, trace := range []string{"goroutine ", "panic:", "runtime error", "fatal error:", "SIGSEGV"} {
		if strings.Contains(res.Stderr, trace) {
			t.Errorf("stderr has a Go stack trace: %s", res.Stderr)
			break
		}
	}
	if res.Code != 0 && res.Stdout != "" {
		t.Errorf("stdout = %q, want nothing", res.Stdout)
	}
}

// clean checks that nothing of the container is left.
func (a attempt) clean(t *testing.T) {
	t.Helper()
	trace := rig.Trace{Runtime: a.r, ID: a.id, Bundle: a.bundle, Marker: marker}
	if left := trace.Leftovers(settle); len(left) > 0 {
		t.Errorf("left: %q", left)
		trace.Clean()
	}
}

// remove deletes a container that the runtime accepted.
func (a attempt) remove(t *testing.T) {
	t.Helper()
	if res := do(t, a.r, "delete", "--force", a.id); res.Code != 0 {
		t.Errorf("delete --force: %v", res)
	}
}
