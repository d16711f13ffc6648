// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"berth/tests/rig"
)

const patience = 20 * time.Second

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// TestPeersSeeTheSame takes the first runtime of the list that is there as the
// standard; with berth built that is berth.
func TestPeersSeeTheSame(t *testing.T) {
	rig.NeedRoot(t)
	dir := t.TempDir()
	runtimes := find(t, dir)
	payload := filepath.Join(dir, "payload")
	if err := rig.Build("./tests/payload", payload); err != nil {
		t.Fatal(err)
	}
	used := map[difference]bool{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			bundle := filepath.Join(t.TempDir(), "bundle")
			openToAll(t, bundle)
			if err := rig.Bundle(bundle, map[string]string{"/bin/payload": payload}); err != nil {
				t.Fatal(err)
			}
			spec, err := c.spec(rig.CgroupBase() + "/peer")
			if err != nil {
				rig.Missing(t, err.Error())
			}
			if err := rig.WriteConfig(bundle, spec); err != nil {
				t.Fatal(err)
			}
			first := report(t, runtimes[0], bundle)
			for _, peer := range runtimes[1:] {
				differ(t, c.name, peer.Name, first, report(t, peer, bundle), used)
			}
		})
	}
	if testing.Verbose() {
		for d := range used {
			t.Logf("used: %+v", d)
		}
	}
}

// find returns the runtimes of this machine and skips the test if there are
// fewer than two, or no berth.
func find(t *testing.T, dir string) []rig.Runtime {
	t.Helper()
	names := "berth,runc,crun"
	if list := os.Getenv("BERTH_TEST_PEERS"); list != "" {
		names = list
	}
	var found []rig.Runtime
	for name := range strings.SplitSeq(names, ",") {
		r, err := rig.Find(name, filepath.Join(dir, "roots"))
		if err != nil {
			rig.Missing(t, name+": "+err.Error())
		}
		found = append(found, r)
	}
	return found
}

// openToAll makes the bundle reachable for a user namespace's root, whom the
// host's permissions treat as a stranger.
func openToAll(t *testing.T, bundle string) {
	t.Helper()
	for dir := filepath.Dir(bundle); dir != os.TempDir() && len(dir) > 1; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// report runs the bundle as an engine does and returns what the payload saw.
func report(t *testing.T, r rig.Runtime, bundle string) map[string]string {
	t.Helper()
	// Each runtime has an id of its own: they would share one session keyring.
	id := "peer-" + r.Name
	out, err := Observe(r, bundle, id)
	if err != nil {
		t.Fatalf("%s: %v", r.Name, err)
	}
	flat, err := flatten(bytes.ReplaceAll(out, []byte(id), []byte("peer")))
	if err != nil {
		t.Fatalf("%s: %v", r.Name, err)
	}
	return flat
}

// Observe creates and starts the container and returns all its output.
func Observe(r rig.Runtime, bundle, id string) ([]byte, error) {
	in, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer outR.Close()
	errs := filepath.Join(bundle, "stderr")
	errFile, err := os.Create(errs)
	if err != nil {
		return nil, err
	}
	defer errFile.Close()
	cmd := r.Command("create", "--bundle", bundle, id)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, outW, errFile
	defer func() { _, _ = r.Do(patience, "delete", "--force", id); rig.Reap() }() // the next run reports what is left
	runErr := cmd.Run()
	_ = outW.Close() // only the container writes now
	if runErr != nil {
		text, _ := os.ReadFile(errs)
		return nil, fmt.Errorf("create: %w: %s", runErr, text)
	}
	if res, err := r.Do(patience, "start", id); err != nil || res.Code != 0 {
		return nil, fmt.Errorf("start: %v %v", err, res)
	}
	if err := outR.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	var out strings.Builder
	buf := make([]byte, 64<<10)
	for {
		n, err := outR.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			break // the report's JSON shows whether it is whole
		}
	}
	if out.Len() == 0 {
		text, _ := os.ReadFile(errs)
		return nil, fmt.Errorf("no output; stderr: %s", text)
	}
	return []byte(out.String()), nil
}

func differ(t *testing.T, name, peer string, first, other map[string]string, used map[difference]bool) {
	t.Helper()
	for _, at := range compare(first, other) {
		reason, ok := allowed(name, peer, at)
		if !ok {
			t.Errorf("%s: %q here, %q under %s", at, show(first, at), show(other, at), peer)
			continue
		}
		used[difference{Case: name, Peer: peer, Path: at, Reason: reason}] = true
	}
}

func show(m map[string]string, at string) string {
	if v, ok := m[at]; ok {
		return v
	}
	return "(absent)"
}
