// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/flatjson"
	"berth/libcontainer/config"
)

func newStore(t *testing.T) Store {
	t.Helper()
	return Store{Root: filepath.Join(t.TempDir(), "run", "berth")}
}

func reserve(t *testing.T, s Store, id string) {
	t.Helper()
	if err := s.Reserve(id); err != nil {
		t.Fatal(err)
	}
}

func example(id string) *Record {
	return &Record{
		ID: id, InitPid: 4711, InitStart: 1 << 40, Created: time.Date(2026, 11, 21, 1, 2, 3, 456789, time.UTC),
		ConfigVersion: ConfigVersion, OCIVersion: "1.3.0", Bundle: "/b", Rootfs: "/b/rootfs",
		Annotations: map[string]string{"a": "b"}, CgroupPaths: json.RawMessage(`{"memory":"/x"}`),
		Namespaces: map[string]string{"pid": "", "network": "/run/netns/x"},
		Poststop:   []config.Hook{{Path: "/bin/h", Args: []string{"h"}, Timeout: 3}},
	}
}

func TestValidateID(t *testing.T) {
	for id, want := range map[string]error{
		"":                        ErrEmptyID,
		"a":                       nil,
		"Web_1+x.y-z":             nil,
		"-x":                      nil,
		"a..b":                    nil,
		strings.Repeat("x", 1024): nil,
		strings.Repeat("x", 1025): ErrInvalidID,
		".":                       ErrInvalidID,
		"..":                      ErrInvalidID,
		".hidden":                 ErrInvalidID,
		"a/b":                     ErrInvalidID,
		"../x":                    ErrInvalidID,
		"a b":                     ErrInvalidID,
		"a\x00":                   ErrInvalidID,
		"a\n":                     ErrInvalidID,
		"ä":                       ErrInvalidID,
		"a:b":                     ErrInvalidID,
	} {
		if got := ValidateID(id); !errors.Is(got, want) {
			t.Errorf("ValidateID(%q) = %v, want %v", id, got, want)
		}
	}
}

func TestTextsThatEnginesMatch(t *testing.T) {
	for err, want := range map[error]string{
		ErrEmptyID:   "container id cannot be empty",
		ErrInvalidID: "invalid container ID format",
		ErrExists:    "container with given ID already exists",
		ErrNotExist:  "container does not exist",
	} {
		if err.Error() != want {
			t.Errorf("text = %q, want %q", err, want)
		}
	}
}

func TestEveryMethodChecksTheID(t *testing.T) {
	s := newStore(t)
	reserve(t, s, "x")
	calls := map[string]func(id string) error{
		"Reserve":  s.Reserve,
		"Remove":   s.Remove,
		"Save":     func(id string) error { return s.Save(id, &Record{}) },
		"Load":     func(id string) error { _, err := s.Load(id); return err },
		"LoadExec": func(id string) error { _, err := s.LoadExec(id); return err },
		"OpenDir":  func(id string) error { _, err := s.OpenDir(id); return err },
	}
	for name, call := range calls {
		if err := call("../berth/x"); !errors.Is(err, ErrInvalidID) {
			t.Errorf("%s = %v, want %v", name, err, ErrInvalidID)
		}
	}
	if s.Reserved("../berth/x") {
		t.Error("Reserved looked outside")
	}
}

func TestRecordSurvives(t *testing.T) {
	s := newStore(t)
	reserve(t, s, "web")
	for _, want := range []*Record{{ID: "web", Phase: PhaseCreating, Created: time.Unix(0, 0).UTC()}, example("web")} {
		if err := s.Save("web", want); err != nil {
			t.Fatal(err)
		}
		got, err := s.Load("web")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Load = %+v, %v; want %+v", got, err, want)
		}
	}
	want := &Exec{Filter: []byte{1, 2, 3}, FilterFlags: 4, Listener: true, ListenerPath: "/agent", ListenerMetadata: "m"}
	if err := s.SaveExec("web", want); err != nil {
		t.Fatal(err)
	}
	if got, err := s.LoadExec("web"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("LoadExec = %+v, %v; want %+v", got, err, want)
	}
}

func TestLongRecordIsReadWhole(t *testing.T) {
	s := newStore(t)
	reserve(t, s, "web")
	for _, n := range []int{8 << 10, 100 << 10} {
		r := example("web")
		r.Annotations["long"] = strings.Repeat("x", n)
		if err := s.Save("web", r); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load("web"); err != nil || len(got.Annotations["long"]) != n {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestFieldNamesOfRunc(t *testing.T) {
	data, err := flatjson.Append(nil, example("web").fields(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"id":"web"`, `"init_process_pid":4711`, `"init_process_start":1099511627776`, `"created":"2026-11-21T01:02:03.000456789Z"`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("state.json = %s, want %s in it", data, want)
		}
	}
}

func TestStateForHooks(t *testing.T) {
	for pid, want := range map[int]string{
		7: `{"ociVersion":"1.3.0","id":"web","status":"x","pid":7,"bundle":"/b","annotations":{"a":"b"}}`,
		0: `{"ociVersion":"1.3.0","id":"web","status":"x","bundle":"/b","annotations":{"a":"b"}}`,
	} {
		got, err := example("web").OCIState("x", pid)
		if err != nil || string(got) != want {
			t.Errorf("OCIState = %s, %v; want %s", got, err, want)
		}
	}
}

func TestModes(t *testing.T) {
	s := newStore(t)
	reserve(t, s, "web")
	if err := s.Save("web", example("web")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{
		s.Root: 0o700, s.Dir("web"): 0o700, s.Dir("web") + "/state.json": 0o600,
	} {
		fi, err := os.Stat(path)
		if err != nil || fi.Mode().Perm() != want {
			t.Errorf("mode of %s = %v, %v; want %v", path, fi.Mode(), err, want)
		}
	}
}

func TestOneReservationWins(t *testing.T) {
	s := newStore(t)
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			switch err := s.Reserve("web"); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, ErrExists):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won, want 1", won.Load())
	}
}

func TestLoadErrors(t *testing.T) {
	s := newStore(t)
	if _, err := s.Load("web"); !errors.Is(err, ErrNotExist) || errors.Is(err, ErrIncomplete) {
		t.Errorf("Load without a root = %v, want %v", err, ErrNotExist)
	}
	reserve(t, s, "web")
	if _, err := s.Load("web"); !errors.Is(err, ErrNotExist) || !errors.Is(err, ErrIncomplete) {
		t.Errorf("Load of a reservation = %v, want %v and %v", err, ErrNotExist, ErrIncomplete)
	}
	for data, want := range map[string]string{
		"":                                 "unexpected end",
		"{":                                "unexpected end",
		`{"id":"x"}`:                       `that of "x"`,
		`{"id":"web","config_version":99}`: "newer",
	} {
		if err := os.WriteFile(s.Dir("web")+"/state.json", []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load("web"); err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrNotExist) {
			t.Errorf("Load of %q = %v, want %q in it", data, err, want)
		}
	}
}

func TestLongIDIsAnErrorOfReserve(t *testing.T) {
	s := newStore(t)
	if err := s.Reserve(strings.Repeat("x", 300)); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("Reserve = %v, want %v", err, unix.ENAMETOOLONG)
	}
}

func TestRemoveTakesAllAndFollowsNothing(t *testing.T) {
	s := newStore(t)
	outside := t.TempDir()
	if err := os.WriteFile(outside+"/keep", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	reserve(t, s, "web")
	if err := s.Save("web", example("web")); err != nil {
		t.Fatal(err)
	}
	dir := s.Dir("web")
	for _, err := range []error{
		unix.Mkfifo(dir+"/exec.fifo", 0o622),
		os.Mkdir(dir+"/notify", 0o755),
		unix.Mknod(dir+"/notify/notify.sock", unix.S_IFSOCK|0o777, 0),
		os.WriteFile(dir+"/.state.json.1.x", nil, 0o600),
		os.Symlink(outside, dir+"/link"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time there is nothing
		if err := s.Remove("web"); err != nil {
			t.Fatal(err)
		}
		if s.Reserved("web") {
			t.Fatal("the id is still reserved")
		}
	}
	if _, err := os.Stat(outside + "/keep"); err != nil {
		t.Error(err)
	}
	if err := (Store{Root: "/nonexistent"}).Remove("web"); err != nil {
		t.Errorf("Remove without a root = %v, want none", err)
	}
}

func TestRemoveThatFailsKeepsTheRecord(t *testing.T) {
	s := newStore(t)
	reserve(t, s, "web")
	if err := s.Save("web", example("web")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(s.Dir("web")+"/a/b/c/d", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove("web"); !errors.Is(err, unix.ENOTEMPTY) {
		t.Errorf("Remove = %v, want %v", err, unix.ENOTEMPTY)
	}
	if _, err := s.Load("web"); err != nil {
		t.Error(err)
	}
}

func TestListSkipsWhatIsNoContainer(t *testing.T) {
	s := newStore(t)
	if _, err := s.List(); !os.IsNotExist(err) {
		t.Errorf("List = %v, want %v", err, fs.ErrNotExist)
	}
	for _, id := range []string{"b", "a", "half"} {
		reserve(t, s, id)
	}
	if err := os.WriteFile(s.Root+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.Root+"/.cache", 0o700); err != nil {
		t.Fatal(err)
	}
	got, err := s.List()
	if want := []string{"a", "b", "half"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("List = %q, %v; want %q", got, err, want)
	}
}

func TestOpenDir(t *testing.T) {
	s := newStore(t)
	if _, err := s.OpenDir("web"); !errors.Is(err, ErrNotExist) {
		t.Errorf("OpenDir = %v, want %v", err, ErrNotExist)
	}
	reserve(t, s, "web")
	d, err := s.OpenDir("web")
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
}

func BenchmarkLoad(b *testing.B) {
	s := Store{Root: b.TempDir()}
	if err := errors.Join(s.Reserve("web"), s.Save("web", example("web"))); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Load("web"); err != nil {
			b.Fatal(err)
		}
	}
}
